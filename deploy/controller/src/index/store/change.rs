//! One update to the change of its kind.

use std::sync::Arc;

use super::{Dirty, Routing, Store};
use crate::objects::{Kind, MESH_CONFIG, Object, Update};

impl Store {
    /// Takes one update in.
    pub(in crate::index) fn change(&mut self, update: Update, dirty: &mut Dirty) {
        match update {
            Update::Put(object) => {
                let key = object.key();
                if !matches!(object, Object::Unread(_)) {
                    self.remove_unread(&key, dirty);
                }
                let (namespace, name) = (Arc::clone(&key.namespace), Arc::clone(&key.name));
                match object {
                    Object::Unread(it) => self.put_unread(key, it, dirty),
                    Object::Namespace(it) => self.change_namespace(&name, Some(it), dirty),
                    Object::Node(it) => self.change_node(&name, Some(it), dirty),
                    Object::Pod(it) => self.change_pod(&namespace, &name, Some(it), dirty),
                    Object::Service(it) => self.change_service(&namespace, &name, Some(it), dirty),
                    Object::EndpointSlice(it) => {
                        self.change_slice(&namespace, &name, Some(it), dirty);
                    }
                    // Nothing depends on it: pods name theirs.
                    Object::ServiceAccount(_) => {}
                    Object::WorkloadEntry(it) => {
                        self.change_workload_entry(&namespace, &name, Some(it), dirty);
                    }
                    Object::ServiceEntry(it) => {
                        self.change_service_entry(&namespace, &name, Some(it), dirty);
                    }
                    Object::Gateway(it) => self.change_gateway(&namespace, &name, Some(it), dirty),
                    Object::GatewayClass(it) => self.change_class(&name, Some(it), dirty),
                    Object::AuthorizationPolicy(it) => {
                        self.change_authorization(&namespace, &name, Some(it), dirty);
                    }
                    Object::PeerAuthentication(it) => {
                        self.change_authentication(&namespace, &name, Some(it), dirty);
                    }
                    Object::MeshConfig(it) => {
                        if (&*namespace, &*name) == MESH_CONFIG {
                            self.change_config(it, dirty);
                        }
                    }
                    Object::VirtualService(it) => {
                        self.put_routing(Routing::VirtualService(it), dirty);
                    }
                    Object::DestinationRule(it) => {
                        self.put_routing(Routing::DestinationRule(it), dirty);
                    }
                    Object::HttpRoute(it) => self.put_routing(Routing::HttpRoute(it), dirty),
                    Object::GrpcRoute(it) => self.put_routing(Routing::GrpcRoute(it), dirty),
                    Object::TlsRoute(it) => self.put_routing(Routing::TlsRoute(it), dirty),
                    Object::TcpRoute(it) => self.put_routing(Routing::TcpRoute(it), dirty),
                    Object::ReferenceGrant(it) => {
                        self.put_routing(Routing::ReferenceGrant(it), dirty);
                    }
                    Object::RequestAuthentication(it) => {
                        self.put_routing(Routing::RequestAuthentication(it), dirty);
                    }
                    Object::TrafficPolicy(it) => {
                        self.put_routing(Routing::TrafficPolicy(it), dirty);
                    }
                    Object::EnvoyFilter(it) => self.put_routing(Routing::EnvoyFilter(it), dirty),
                }
            }
            Update::Delete(key) => {
                self.remove_unread(&key, dirty);
                let (namespace, name) = (&key.namespace, &key.name);
                match key.kind {
                    Kind::Namespace => self.change_namespace(name, None, dirty),
                    Kind::Node => self.change_node(name, None, dirty),
                    Kind::Pod => self.change_pod(namespace, name, None, dirty),
                    Kind::Service => self.change_service(namespace, name, None, dirty),
                    Kind::EndpointSlice => self.change_slice(namespace, name, None, dirty),
                    Kind::ServiceAccount => {}
                    Kind::WorkloadEntry => {
                        self.change_workload_entry(namespace, name, None, dirty);
                    }
                    Kind::ServiceEntry => {
                        self.change_service_entry(namespace, name, None, dirty);
                    }
                    Kind::Gateway => self.change_gateway(namespace, name, None, dirty),
                    Kind::GatewayClass => self.change_class(name, None, dirty),
                    Kind::AuthorizationPolicy => {
                        self.change_authorization(namespace, name, None, dirty);
                    }
                    Kind::PeerAuthentication => {
                        self.change_authentication(namespace, name, None, dirty);
                    }
                    Kind::ConfigMap => {
                        if (&**namespace, &**name) == MESH_CONFIG {
                            self.change_config(Arc::default(), dirty);
                        }
                    }
                    Kind::VirtualService
                    | Kind::DestinationRule
                    | Kind::HttpRoute
                    | Kind::GrpcRoute
                    | Kind::TlsRoute
                    | Kind::TcpRoute
                    | Kind::ReferenceGrant
                    | Kind::RequestAuthentication
                    | Kind::TrafficPolicy
                    | Kind::EnvoyFilter => {
                        self.change_routing(key.kind, namespace, name, None, dirty);
                    }
                }
            }
        }
    }

    fn put_routing(&mut self, object: Routing, dirty: &mut Dirty) {
        let (kind, meta) = (object.kind(), object.meta());
        let (namespace, name) = (Arc::clone(&meta.namespace), Arc::clone(&meta.name));
        self.change_routing(kind, &namespace, &name, Some(object), dirty);
    }
}
