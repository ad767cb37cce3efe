//! Whom CUSTOM asks: providers of the mesh, and the services that they name.

use wire::proto::waypoint::{Backend, ExternalAuthorization};

use super::super::store::{Store, split};
use crate::render::{
    access::{self, Unenforceable},
    routing::{Lookup as _, ServiceFacts, Usability},
};

impl Store {
    /// The authorizer of a provider's name.
    pub(super) fn authorizer(&self, name: &str) -> Result<ExternalAuthorization, Unenforceable> {
        let refused = |why: String| Unenforceable::Provider {
            provider: name.to_owned(),
            why,
        };
        let authorizer = match self.mesh().config.authorizers.get(name) {
            Some(Ok(authorizer)) => authorizer,
            Some(Err(why)) => return Err(refused(why.clone())),
            None => {
                let why = "no extensionProvider with envoyExtAuthzHttp or envoyExtAuthzGrpc has this name";
                return Err(refused(why.to_owned()));
            }
        };
        let named = &authorizer.service;
        let service = self
            .service_named(named.namespace.as_deref(), &named.hostname)
            .map_err(refused)?;
        let (host, port) = (&service.hostname, authorizer.port);
        if service.port(port).is_none() {
            return Err(refused(format!("service {host} has no port {port}")));
        }
        // Its own policies do not count: whoever asks it is a waypoint, and not a client of its.
        let effective = self.effective_of(&service, self.entry_of(&service));
        let usability = effective.map_or(Usability::Usable, |it| it.usability(port, ""));
        match usability {
            Usability::Usable | Usability::Unknown => {}
            Usability::Unenforced(policy) => {
                return Err(refused(format!(
                    "{policy} is not enforced for service {host}"
                )));
            }
        }
        let backend = Backend {
            service: service.key(),
            port: port.into(),
            subset: String::new(),
        };
        Ok(access::external(name, authorizer, backend))
    }

    /// The only service of a hostname, of whichever namespace or of one; or why there is none.
    pub(super) fn service_named(
        &self,
        namespace: Option<&str>,
        hostname: &str,
    ) -> Result<ServiceFacts<'_>, String> {
        let is_meant = |of: &str| namespace.is_none_or(|namespace| namespace == of);
        let own = split(hostname, self.mesh().domain)
            .filter(|(_, of)| is_meant(of))
            .and_then(|(name, of)| self.service(of, name));
        let entries = self.entries_of(hostname).into_iter().filter_map(|id| {
            let entry = self.service_entries.get(id)?;
            // A host that it has, and has written out.
            let (hosts, _lost) = self.hosts(id, entry);
            let host = hosts.into_iter().find(|host| *host == hostname)?;
            is_meant(&entry.meta.namespace)
                .then(|| self.entry_facts(entry, host, &self.binding_of_entry(entry)))
        });
        let mut found = own.into_iter().chain(entries);
        let Some(first) = found.next() else {
            return Err(format!("there is no service {hostname}"));
        };
        if found.next().is_some() {
            return Err(format!(
                "several namespaces have a service {hostname}, and none is named"
            ));
        }
        Ok(first)
    }
}
