//! Bodies of which the first frame leaves with the head.

use bytes::Bytes;
use http::{Method, Response};
use mesh::{Service, backend::TrafficPolicy, service::AppProtocol};

use super::kit::{Mesh, Server, get, service, soon, text};
use crate::body::Body;

/// Echoes requests of HTTP/2, and lets a client send five bytes before they are read.
async fn narrow() -> Server {
    Server::raw(|_, socket| async move {
        let mut connection = h2::server::Builder::new()
            .initial_window_size(5)
            .handshake::<_, Bytes>(socket)
            .await
            .unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            tokio::spawn(async move {
                let mut body = request.into_body();
                let mut said = Vec::new();
                while let Some(data) = body.data().await {
                    let data = data.unwrap();
                    body.flow_control().release_capacity(data.len()).unwrap();
                    said.extend_from_slice(&data);
                }
                let mut send = respond.send_response(Response::new(()), false).unwrap();
                send.send_data(said.into(), true).unwrap();
            });
        }
    })
    .await
}

#[tokio::test]
async fn a_body_arrives_whole_where_the_endpoint_gives_little_room() {
    let server = narrow().await;
    let grpc = Service {
        protocols: vec![(80, AppProtocol::Grpc)],
        ..service()
    };
    let mesh = Mesh::new(grpc, &[server.address], TrafficPolicy::default());
    // The second finds the endpoint's settings known. The last is too long to go ahead.
    for length in [30, 40, 17_000] {
        let said: String = ('a'..='z').cycle().take(length).collect();
        let mut request = get("/");
        *request.method_mut() = Method::POST;
        *request.body_mut() = Body::Full(said.clone().into());
        let sent = soon("an answer", mesh.send(request)).await.unwrap();
        assert_eq!(soon("all of it", text(sent)).await, said);
    }
    assert_eq!(server.connections(), 1);
}
