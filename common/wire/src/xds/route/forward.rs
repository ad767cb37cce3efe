//! Where a rule leads.

use mesh::route::{Backend, Forward, Mirror, Missing, Share, Target, WeightedBackend};

use super::{edit, optional, scalar};
use crate::{
    proto::waypoint as proto,
    xds::{
        error::{Fault, each},
        field,
        names::Names,
    },
};

pub(super) fn forward(read: &proto::Forward, names: &mut Names) -> Result<Forward, Fault> {
    Ok(Forward {
        backends: each("backends", &read.backends, |read| weighted(read, names))?,
        fallback_status: scalar::failure("fallback_status", read.fallback_status)?,
    })
}

pub(super) fn weighted(
    read: &proto::WeightedBackend,
    names: &mut Names,
) -> Result<WeightedBackend, Fault> {
    use proto::weighted_backend::Target as Read;
    let target = match &read.target {
        Some(Read::Backend(read)) => {
            Target::Backend(backend(read, names).map_err(|fault| fault.within("backend"))?)
        }
        Some(Read::Missing(read)) => {
            Target::Missing(missing(read).map_err(|fault| fault.within("missing"))?)
        }
        None => return Err(Fault::missing("", "backend or missing")),
    };
    Ok(WeightedBackend {
        weight: read.weight,
        target,
        request_headers: edit::headers("request_headers", read.request_headers.as_ref())?,
        response_headers: edit::headers("response_headers", read.response_headers.as_ref())?,
        rewrite: edit::optional_rewrite(read.rewrite.as_ref())?,
        redirect: optional("redirect", read.redirect.as_ref(), edit::redirect)?,
        mirrors: each("mirrors", &read.mirrors, |read| mirror(read, names))?,
        timeout: scalar::duration(read.timeout_us),
    })
}

fn missing(read: &proto::Missing) -> Result<Missing, Fault> {
    Ok(Missing {
        status: scalar::failure("status", read.status)?,
        name: field::label("name", &read.name)?.into(),
    })
}

pub(in crate::xds) fn backend(read: &proto::Backend, names: &mut Names) -> Result<Backend, Fault> {
    let (namespace, hostname) = field::namespaced_hostname("service", &read.service)?;
    Ok(Backend {
        service: names.service(namespace, &hostname),
        port: field::port("port", read.port)?.get(),
        subset: names.labels.share(field::label("subset", &read.subset)?),
    })
}

pub(super) fn mirror(read: &proto::Mirror, names: &mut Names) -> Result<Mirror, Fault> {
    let Some(to) = &read.backend else {
        return Err(Fault::missing("backend", "where copies go"));
    };
    Ok(Mirror {
        backend: backend(to, names).map_err(|fault| fault.within("backend"))?,
        share: Share::from_ppm(read.share_ppm),
        shadow_host: read.shadow_host,
    })
}
