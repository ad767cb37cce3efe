//! A thousand random edits of a manifest folder end in the same snapshot as a fresh start on what they left.
//!
//! The whole path of a change is under test: files, readers, index, rendering, publication.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use controller::{
    index::{Index, Options},
    output::ResourceType,
    publish::{Publisher, Snapshot},
    source::Folder,
};

/// How many edits; each is one change of one file, as a person or a tool makes it.
const EDITS: usize = 1000;
/// After so many edits the folder is compared with a fresh start.
const PAUSE: usize = 50;

/// A fixed sequence of numbers: a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        // Source: Marsaglia, Xorshift RNGs, 2003.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        let index = usize::try_from(self.below(of.len() as u64));
        of[index.expect("a small number")]
    }
}

const NAMESPACES: [&str; 3] = ["default", "shop", "istio-system"];
const APPS: [&str; 3] = ["web", "db", "cart"];

/// One manifest. Its name is one of few, so that edits meet.
fn manifest(random: &mut Random) -> (String, String) {
    let namespace = random.pick(&NAMESPACES);
    let app = random.pick(&APPS);
    let other = random.pick(&APPS);
    let number = random.below(6);
    let kind = random.pick(&[
        "Pod",
        "Pod",
        "Pod",
        "Service",
        "Service",
        "AuthorizationPolicy",
        "PeerAuthentication",
        "Namespace",
        "Node",
        "Gateway",
        "WorkloadEntry",
        "ServiceEntry",
        "EndpointSlice",
        "ConfigMap",
    ]);
    let choice = random.below(4);
    let text = match kind {
        "Pod" => format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {app}-{number}\n  namespace: {namespace}\n  uid: u{number}\n  labels:\n    app: {other}\n    istio.io/dataplane-mode: {}\nspec:\n  nodeName: node{}\n  serviceAccountName: {app}\n  containers:\n    - name: main\n      ports:\n        - name: http\n          containerPort: {}\nstatus:\n  phase: {}\n  podIPs:\n    - ip: 10.0.{choice}.{number}\n  conditions:\n    - type: Ready\n      status: \"{}\"\n",
            random.pick(&["ambient", "none"]),
            random.below(3),
            8080 + random.below(2),
            random.pick(&["Running", "Running", "Succeeded"]),
            random.pick(&["True", "False"]),
        ),
        "Service" => format!(
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: {app}\n  namespace: {namespace}\n  labels:\n    istio.io/use-waypoint: {}\nspec:\n  clusterIP: {}\n  trafficDistribution: {}\n  selector:\n    app: {other}\n  ports:\n    - name: http\n      port: {}\n      targetPort: {}\n",
            random.pick(&["way", "none"]),
            random.pick(&["10.96.0.1", "10.96.0.2", "None"]),
            random.pick(&["PreferClose", "PreferSameNode"]),
            80 + choice,
            random.pick(&["http", "8080"]),
        ),
        "AuthorizationPolicy" => format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata:\n  name: {app}\n  namespace: {namespace}\nspec:\n  {}action: {}\n  rules:\n    - from:\n        - source:\n            principals: [\"cluster.local/ns/{namespace}/sa/{other}\"]\n      to:\n        - operation:\n            ports: [\"{}\"]\n",
            if choice == 0 {
                String::new()
            } else {
                format!("selector:\n    matchLabels:\n      app: {other}\n  ")
            },
            random.pick(&["ALLOW", "DENY"]),
            8080 + choice,
        ),
        "PeerAuthentication" => format!(
            "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata:\n  name: {app}\n  namespace: {namespace}\nspec:\n  {}mtls:\n    mode: {}\n",
            if choice < 2 {
                String::new()
            } else {
                format!("selector:\n    matchLabels:\n      app: {other}\n  ")
            },
            random.pick(&["STRICT", "PERMISSIVE", "UNSET"]),
        ),
        "Namespace" => format!(
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {namespace}\n  labels:\n    istio.io/dataplane-mode: {}\n    istio.io/use-waypoint: {}\n",
            random.pick(&["ambient", "none"]),
            random.pick(&["way", "none"]),
        ),
        "Node" => format!(
            "apiVersion: v1\nkind: Node\nmetadata:\n  name: node{}\n  labels:\n    topology.kubernetes.io/region: r{choice}\n    topology.kubernetes.io/zone: z{number}\n",
            number % 3,
        ),
        "Gateway" => format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata:\n  name: way\n  namespace: {namespace}\n  labels:\n    istio.io/waypoint-for: {}\nspec:\n  gatewayClassName: istio-waypoint\n  listeners:\n    - name: mesh\n      port: 15008\n      protocol: HBONE\n",
            random.pick(&["service", "workload", "all", "none"]),
        ),
        "WorkloadEntry" => format!(
            "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata:\n  name: {app}\n  namespace: {namespace}\nspec:\n  address: 10.9.{choice}.{number}\n  weight: {}\n  labels:\n    app: {other}\n",
            number + 1,
        ),
        "ServiceEntry" => format!(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata:\n  name: {app}\n  namespace: {namespace}\nspec:\n  hosts: [\"{app}.example.com\"]\n  addresses: [\"10.97.0.{number}\"]\n  ports:\n    - number: 80\n      name: http\n      protocol: HTTP\n  resolution: STATIC\n  workloadSelector:\n    labels:\n      app: {other}\n",
        ),
        "EndpointSlice" => format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: {app}-{choice}\n  namespace: {namespace}\n  labels:\n    kubernetes.io/service-name: {app}\naddressType: IPv4\nendpoints:\n  - addresses: [\"10.0.{choice}.{number}\"]\n    conditions:\n      ready: {}\n    targetRef:\n      kind: Pod\n      name: {other}-{number}\n      namespace: {namespace}\nports:\n  - name: http\n    port: 8080\n",
            random.pick(&["true", "false"]),
        ),
        _ => format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: istio\n  namespace: istio-system\ndata:\n  mesh: |\n    trustDomain: {}\n",
            random.pick(&["cluster.local", "other.example"]),
        ),
    };
    // One object has one file: which of two files owns an object depends on their names alone, not on history.
    let name = match kind {
        "Pod" => format!("pod-{namespace}-{app}-{number}"),
        "Node" => format!("node-{}", number % 3),
        "Gateway" | "Namespace" => format!("{kind}-{namespace}"),
        "EndpointSlice" => format!("slice-{namespace}-{app}-{choice}"),
        "ConfigMap" => "mesh".to_owned(),
        _ => format!("{kind}-{namespace}-{app}"),
    };
    (name, text)
}

/// A folder that goes with its value.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("ambit-edits-{}", std::process::id()));
        fs::create_dir(&path).expect("a folder in the temporary one");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The path of a change, without its tasks.
struct Chain {
    folder: Folder,
    index: Index,
    publisher: Publisher,
}

impl Chain {
    fn new(path: &Path) -> Self {
        Self {
            folder: Folder::new(path),
            index: Index::new(Options::default()),
            publisher: Publisher::new(),
        }
    }

    fn follow(&mut self) {
        let scan = self.folder.scan(net::clock::wall());
        if let Some(batch) = scan.batch {
            let output = self.index.apply(batch);
            self.publisher.apply(output);
        }
    }

    fn state(&self) -> BTreeMap<(ResourceType, String), String> {
        let snapshot = self.publisher.view().load();
        let of = |of: ResourceType, snapshot: &Snapshot| {
            snapshot
                .iter(of)
                .map(|it| {
                    let described =
                        format!("{} {:?} {:?}", it.version(), it.aliases(), it.services());
                    ((of, it.name().to_string()), described)
                })
                .collect::<Vec<_>>()
        };
        ResourceType::ALL
            .into_iter()
            .flat_map(|resources| of(resources, &snapshot))
            .collect()
    }

    fn residents(&self) -> Vec<bool> {
        let snapshot = self.publisher.view().load();
        let mut all = Vec::new();
        for node in ["node0", "node1", "node2"] {
            for namespace in NAMESPACES {
                for account in APPS {
                    all.push(snapshot.runs(node, namespace, account));
                }
                all.push(snapshot.is_waypoint(namespace, "way"));
            }
        }
        all
    }
}

#[test]
fn a_thousand_edits_end_in_the_snapshot_of_a_fresh_start() {
    let scratch = Scratch::new();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut followed = Chain::new(&scratch.0);
    let mut most = 0;
    for edit in 1..=EDITS {
        let (name, text) = manifest(&mut random);
        let path = scratch.0.join(format!("{name}.yaml"));
        match random.below(5) {
            0 => drop(fs::remove_file(&path)),
            // As editors do it, and as tools do it.
            1 | 2 => {
                let young = scratch.0.join(".young");
                fs::write(&young, text).unwrap();
                fs::rename(&young, &path).unwrap();
            }
            _ => fs::write(&path, text).unwrap(),
        }
        followed.follow();
        if edit % PAUSE == 0 {
            let mut fresh = Chain::new(&scratch.0);
            fresh.follow();
            let state = followed.state();
            assert_eq!(state, fresh.state(), "after {edit} edits");
            assert_eq!(
                followed.residents(),
                fresh.residents(),
                "after {edit} edits"
            );
            most = most.max(state.len());
        }
    }
    assert!(
        most > 40,
        "the edits made a mesh of {most} resources at most"
    );
}
