//! What an authorizer changes of a request that it lets pass.
//!
//! In: its answer, read. Out: the request, and what its response will have. Never: half of it: what cannot be applied is found out
//! before anything is; a path that policies have not seen in its one spelling.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Uri, uri::PathAndQuery};
use mesh::settings::Normalization;

use super::{Failed, query};
use crate::{
    access::names::is_removable,
    body::Body,
    filter::{envoy, normalize::normalize},
    request::{
        call::{Call, Place, ResponseHeader},
        head::{self, set_authority, set_path},
    },
};

/// Changes, in the order in which they are made.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Headers of the request.
    pub(super) request: Vec<ResponseHeader>,
    /// Whom it names.
    pub(super) authority: Option<HeaderValue>,
    /// Its path, with or without a query.
    pub(super) path: Option<PathAndQuery>,
    /// Headers that it loses.
    pub(super) remove: Vec<HeaderName>,
    /// Parameters of its query, which come in the place of all of their names.
    pub(super) set_query: Vec<(String, String)>,
    /// Parameters that it loses.
    pub(super) remove_query: Vec<String>,
    /// Headers of the client's response.
    pub(super) response: Vec<ResponseHeader>,
}

impl Changes {
    /// Makes them. A path gets its one spelling by `spelling`, which is that of the snapshot by which the request is judged.
    ///
    /// # Errors
    /// When the path that comes of it is none. Nothing has changed then.
    pub(super) fn apply(
        self,
        call: &mut Call,
        spelling: Normalization,
        request: &mut Request<Body>,
    ) -> Result<(), Failed> {
        let path = self.new_path(spelling, request.uri())?;
        let is_other = path.is_some() || self.authority.is_some();
        let headers = request.headers_mut();
        // What an application could take for a header that the authorizer answers for must not be the client's.
        let instead = self.request.iter().filter(|it| it.place == Place::Instead);
        for header in instead {
            envoy::remove(headers, |found| envoy::is_alike(found, &header.name));
        }
        for header in &self.request {
            header.add_to(headers);
        }
        for name in self.remove.iter().filter(|name| is_removable(name)) {
            envoy::remove(headers, |found| envoy::is_alike(found, name));
        }
        if is_other {
            let mut uri = std::mem::take(request.uri_mut());
            if let Some(path) = path {
                set_path(&mut uri, path);
            }
            if let Some(authority) = self.authority {
                set_authority(&mut uri, request.headers_mut(), authority);
            }
            *request.uri_mut() = uri;
        }
        call.response_headers.extend(self.response);
        Ok(())
    }

    /// The path and query; `None`: they stay.
    fn new_path(&self, spelling: Normalization, uri: &Uri) -> Result<Option<PathAndQuery>, Failed> {
        let has_query = !self.set_query.is_empty() || !self.remove_query.is_empty();
        if self.path.is_none() && !has_query {
            return Ok(None);
        }
        let before = self
            .path
            .clone()
            .unwrap_or_else(|| head::path_and_query(uri));
        let bad = || Failed::Target("a path or query");
        let path = match &self.path {
            Some(path) => normalize(path.path(), spelling).map_err(|_| bad())?,
            // It has its one spelling.
            None => before.path().into(),
        };
        let query = query::edit(before.query(), &self.set_query, &self.remove_query);
        let whole = match query.filter(|query| !query.is_empty()) {
            Some(query) => format!("{path}?{query}"),
            None => path.into_owned(),
        };
        let whole = PathAndQuery::from_maybe_shared(Bytes::from(whole)).map_err(|_| bad())?;
        Ok(Some(whole))
    }
}
