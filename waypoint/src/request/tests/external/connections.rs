//! Connections of which no request is read.

use wire::proto::external_auth::{CheckResponse, DeniedHttpResponse, OkHttpResponse};

use super::{
    over_grpc::{Questions, no, provider, yes},
    *,
};
use crate::access::external::{Refused, check_connection};

#[tokio::test]
async fn a_connection_passes_if_the_authorizer_says_so() {
    let questions = Questions::default();
    let provider = provider(&questions, || Ok(yes(OkHttpResponse::default()))).await;
    let kit = asking(nobody().await, provider, by_grpc());
    check_connection(
        &kit.session,
        kit.session.client.ip(),
        &[Arc::new(by_grpc())],
    )
    .await
    .unwrap();
    let attributes = questions.only().attributes.unwrap();
    let principal = attributes.source.unwrap().principal;
    assert_eq!(principal, "spiffe://cluster.local/ns/default/sa/client");
    assert!(attributes.request.unwrap().http.is_none());
    assert!(attributes.tls_session.is_none());
}

#[tokio::test]
async fn a_connection_does_not_pass_if_it_says_no_or_nothing() {
    let questions = Questions::default();
    let denying = provider(&questions, || Ok(no(DeniedHttpResponse::default()))).await;
    let silent = provider(&questions, || Ok(CheckResponse::default())).await;
    let too_long = provider(&questions, || {
        Err(tonic::Status::resource_exhausted("4 MiB at most"))
    })
    .await;
    for (provider, fail_open, passes) in [
        (denying, false, false),
        (denying, true, false),
        (silent, false, false),
        (silent, true, true),
        // What a client can bring about.
        (too_long, true, false),
        (nobody().await, false, false),
        (nobody().await, true, true),
    ] {
        let external = ExternalAuthorization {
            fail_open,
            ..by_grpc()
        };
        let kit = asking(nobody().await, provider, external.clone());
        let result =
            check_connection(&kit.session, kit.session.client.ip(), &[Arc::new(external)]).await;
        assert_eq!(result.is_ok(), passes, "{result:?}");
        if let Err(refused) = result {
            let expected = match refused {
                Refused::Denied(_) => "ext_authz_denied",
                Refused::Undecided { .. } => "ext_authz_error",
            };
            assert_eq!(&*refused.details(), expected);
            assert_eq!(matches!(refused, Refused::Denied(_)), provider == denying);
        }
    }
}

#[tokio::test]
async fn nobody_is_asked_about_a_connection_by_http_and_none_passes_so() {
    let asked = Got::default();
    let provider = saying(&asked, |_| status(200)).await;
    let external = ExternalAuthorization {
        fail_open: true,
        ..by_http(HttpCheck::default())
    };
    let kit = asking(nobody().await, provider, external.clone());
    let refused = check_connection(&kit.session, kit.session.client.ip(), &[Arc::new(external)])
        .await
        .unwrap_err();
    assert_eq!(&*refused.details(), "ext_authz_error");
    assert_eq!(asked.count(), 0);
}
