//! Manifests as a cluster prints them, full of fields that have no effect here: nothing is warned of.

use super::{good, items};
use crate::objects::Object;

const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata:
  annotations:
    ambient.istio.io/redirection: enabled
    cni.projectcalico.org/podIP: 10.244.1.17/32
    prometheus.io/scrape: "true"
  creationTimestamp: "2026-03-04T05:06:07Z"
  generateName: checkout-7c9f6d5b8d-
  generation: 1
  labels:
    app: checkout
    pod-template-hash: 7c9f6d5b8d
    version: v2
  managedFields:
  - apiVersion: v1
    fieldsType: FieldsV1
    fieldsV1:
      f:metadata:
        f:labels:
          .: {}
          f:app: {}
    manager: kube-controller-manager
    operation: Update
    time: "2026-03-04T05:06:07Z"
  name: checkout-7c9f6d5b8d-x2v9k
  namespace: shop
  ownerReferences:
  - apiVersion: apps/v1
    blockOwnerDeletion: true
    controller: true
    kind: ReplicaSet
    name: checkout-7c9f6d5b8d
    uid: 8b8f3a52-9f39-47a2-b5d1-f2c43dce0c66
  resourceVersion: "104233"
  uid: 5a8c2a8e-2ea7-4c57-8a0d-0b9a9b1a7f10
spec:
  affinity:
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
      - podAffinityTerm:
          labelSelector:
            matchLabels: {app: checkout}
          topologyKey: kubernetes.io/hostname
        weight: 100
  containers:
  - args: [--listen, ":8080"]
    command: [/checkout]
    env:
    - name: DB_PASSWORD
      valueFrom:
        secretKeyRef: {key: password, name: db}
    - name: POD_IP
      valueFrom:
        fieldRef: {apiVersion: v1, fieldPath: status.podIP}
    image: registry.example.com/shop/checkout:2.3.1
    imagePullPolicy: IfNotPresent
    lifecycle:
      preStop:
        exec: {command: [sleep, "5"]}
    livenessProbe:
      failureThreshold: 3
      httpGet: {path: /healthz, port: http, scheme: HTTP}
      periodSeconds: 10
    name: checkout
    ports:
    - containerPort: 8080
      name: http
      protocol: TCP
    - containerPort: 9090
      name: metrics
      protocol: TCP
    readinessProbe:
      httpGet: {path: /ready, port: http, scheme: HTTP}
    resources:
      limits: {cpu: 500m, memory: 256Mi}
      requests: {cpu: 50m, memory: 64Mi}
    securityContext:
      allowPrivilegeEscalation: false
      capabilities: {drop: [ALL]}
      runAsNonRoot: true
    terminationMessagePath: /dev/termination-log
    terminationMessagePolicy: File
    volumeMounts:
    - mountPath: /var/run/secrets/kubernetes.io/serviceaccount
      name: kube-api-access-8wz7p
      readOnly: true
  dnsPolicy: ClusterFirst
  enableServiceLinks: true
  nodeName: worker-2
  preemptionPolicy: PreemptLowerPriority
  priority: 0
  restartPolicy: Always
  schedulerName: default-scheduler
  securityContext: {}
  serviceAccount: checkout
  serviceAccountName: checkout
  terminationGracePeriodSeconds: 30
  tolerations:
  - effect: NoExecute
    key: node.kubernetes.io/not-ready
    operator: Exists
    tolerationSeconds: 300
  volumes:
  - name: kube-api-access-8wz7p
    projected:
      defaultMode: 420
      sources:
      - serviceAccountToken: {expirationSeconds: 3607, path: token}
status:
  conditions:
  - lastProbeTime: null
    lastTransitionTime: "2026-03-04T05:06:09Z"
    status: "True"
    type: PodReadyToStartContainers
  - lastProbeTime: null
    lastTransitionTime: "2026-03-04T05:06:12Z"
    status: "True"
    type: Ready
  containerStatuses:
  - containerID: containerd://6b1f
    image: registry.example.com/shop/checkout:2.3.1
    imageID: registry.example.com/shop/checkout@sha256:aa
    lastState: {}
    name: checkout
    ready: true
    restartCount: 0
    started: true
    state:
      running: {startedAt: "2026-03-04T05:06:09Z"}
  hostIP: 192.0.2.22
  hostIPs:
  - ip: 192.0.2.22
  phase: Running
  podIP: 10.244.1.17
  podIPs:
  - ip: 10.244.1.17
  qosClass: Burstable
  startTime: "2026-03-04T05:06:07Z"
"#;

const SERVICE: &str = r#"
apiVersion: v1
kind: Service
metadata:
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: |
      {"apiVersion":"v1","kind":"Service","metadata":{"name":"checkout"}}
  creationTimestamp: "2026-03-04T05:06:00Z"
  labels:
    app: checkout
    istio.io/use-waypoint: none
  name: checkout
  namespace: shop
  resourceVersion: "104100"
  uid: 1f2f5f0c-3c52-4a8a-8c43-6d0a6c6a3d11
spec:
  allocateLoadBalancerNodePorts: true
  clusterIP: 10.96.44.7
  clusterIPs:
  - 10.96.44.7
  externalTrafficPolicy: Cluster
  internalTrafficPolicy: Cluster
  ipFamilies:
  - IPv4
  ipFamilyPolicy: SingleStack
  ports:
  - appProtocol: http
    name: web
    nodePort: 31280
    port: 80
    protocol: TCP
    targetPort: http
  - name: metrics
    nodePort: 32281
    port: 9090
    protocol: TCP
    targetPort: 9090
  selector:
    app: checkout
  sessionAffinity: None
  type: LoadBalancer
status:
  loadBalancer:
    ingress:
    - ip: 198.51.100.20
      ipMode: VIP
      ports:
      - {port: 80, protocol: TCP}
"#;

const SLICE: &str = r#"
addressType: IPv4
apiVersion: discovery.k8s.io/v1
endpoints:
- addresses:
  - 10.244.1.17
  conditions:
    ready: true
    serving: true
    terminating: false
  hints:
    forZones:
    - name: eu-1a
  nodeName: worker-2
  targetRef:
    kind: Pod
    name: checkout-7c9f6d5b8d-x2v9k
    namespace: shop
    uid: 5a8c2a8e-2ea7-4c57-8a0d-0b9a9b1a7f10
  zone: eu-1a
kind: EndpointSlice
metadata:
  annotations:
    endpoints.kubernetes.io/last-change-trigger-time: "2026-03-04T05:06:12Z"
  creationTimestamp: "2026-03-04T05:06:00Z"
  generateName: checkout-
  generation: 4
  labels:
    endpointslice.kubernetes.io/managed-by: endpointslice-controller.k8s.io
    kubernetes.io/service-name: checkout
  name: checkout-vvq5d
  namespace: shop
  ownerReferences:
  - apiVersion: v1
    blockOwnerDeletion: true
    controller: true
    kind: Service
    name: checkout
    uid: 1f2f5f0c-3c52-4a8a-8c43-6d0a6c6a3d11
  resourceVersion: "104240"
  uid: 2c0c5c52-4a33-4ad3-8a37-7f4a35c95bd5
ports:
- appProtocol: http
  name: web
  port: 8080
  protocol: TCP
"#;

const NODE: &str = r#"
apiVersion: v1
kind: Node
metadata:
  annotations:
    node.alpha.kubernetes.io/ttl: "0"
  labels:
    beta.kubernetes.io/arch: amd64
    node-role.kubernetes.io/control-plane: ""
    topology.kubernetes.io/region: eu-1
    topology.kubernetes.io/zone: eu-1a
  name: worker-2
spec:
  podCIDR: 10.244.1.0/24
  podCIDRs:
  - 10.244.1.0/24
  providerID: kind://docker/kind/worker-2
status:
  addresses:
  - address: 192.0.2.22
    type: InternalIP
  allocatable: {cpu: "8", memory: 32Gi}
  nodeInfo: {architecture: amd64, kubeletVersion: v1.34.1}
"#;

const SERVICE_ENTRY: &str = r#"
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  creationTimestamp: "2026-03-04T05:06:00Z"
  generation: 2
  labels: {istio.io/use-waypoint: egress}
  name: payments
  namespace: shop
spec:
  hosts:
  - api.payments.example.com
  location: MESH_EXTERNAL
  ports:
  - name: tls
    number: 443
    protocol: TLS
  resolution: DNS
status:
  addresses:
  - host: api.payments.example.com
    value: 240.240.0.3
  conditions:
  - lastTransitionTime: "2026-03-04T05:06:01Z"
    message: Successfully attached to waypoint shop/egress
    reason: WaypointAccepted
    status: "True"
    type: istio.io/WaypointBound
"#;

#[test]
fn what_a_cluster_prints_is_read_without_a_warning() {
    for text in [POD, SERVICE, SLICE, NODE, SERVICE_ENTRY] {
        good(text);
    }
}

#[test]
fn the_pod_is_what_it_was_in_the_cluster() {
    let Object::Pod(pod) = good(POD) else {
        panic!()
    };
    assert_eq!(&*pod.node, "worker-2");
    assert_eq!(&*pod.service_account, "checkout");
    assert_eq!(
        pod.ips,
        ["10.244.1.17".parse::<std::net::IpAddr>().unwrap()]
    );
    assert_eq!(pod.meta.created, 1_772_600_767);
    assert_eq!(pod.ports.len(), 2);
    assert!(pod.ready && !pod.meta.terminating);
    assert_eq!(
        pod.meta.annotations.keys().collect::<Vec<_>>(),
        ["ambient.istio.io/redirection"]
    );
}

#[test]
fn several_files_in_one_are_read_one_by_one() {
    let text = [POD, SERVICE, SLICE, NODE, SERVICE_ENTRY].join("---");
    let keys: Vec<_> = items(&text)
        .into_iter()
        .map(|item| (item.key.unwrap().to_string(), item.position.line))
        .collect();
    assert_eq!(keys.len(), 5);
    assert_eq!(
        keys[0],
        ("Pod shop/checkout-7c9f6d5b8d-x2v9k".to_owned(), 2)
    );
    // Its marker stands on the line before.
    let line = POD.lines().count() + 2;
    assert_eq!(
        keys[1],
        (
            "Service shop/checkout".to_owned(),
            u64::try_from(line).unwrap()
        )
    );
}
