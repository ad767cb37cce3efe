//! How a head is written.

use super::*;

fn written(request: request::Builder) -> Result<Request<()>, SendError> {
    let (head, ()) = request.body(()).unwrap().into_parts();
    head_of(&head)
}

#[test]
fn the_authority_becomes_the_host_and_the_path_stays_alone() {
    let request = Request::get("http://cart.shop:8080/a/b?c=d").version(Version::HTTP_2);
    let written = written(request).unwrap();
    assert_eq!(written.uri(), "/a/b?c=d");
    assert_eq!(written.headers()[header::HOST], "cart.shop:8080");
    assert_eq!(written.version(), Version::HTTP_11);
}

#[test]
fn a_host_stands_where_the_uri_names_no_authority() {
    let request = Request::options("*").header(header::HOST, "cart");
    let written = written(request).unwrap();
    assert_eq!(written.uri(), "*");
    assert_eq!(written.headers()[header::HOST], "cart");
}

#[test]
fn connect_is_not_sent() {
    let request = Request::connect("cart:80");
    assert!(matches!(written(request), Err(SendError::Head("method"))));
}
