//! A login like OAuth2 Proxy's, for authorization by HTTP: who has a session passes, who has none is sent to the login.
//!
//! ```text
//!   GET /oauth2/start?rd=PATH      302 to PATH, with the session's cookie
//!   anything else, with cookie     200, x-auth-request-user: <who>
//!   anything else, without         302 to /oauth2/start?rd=PATH
//! ```

use http::{HeaderValue, Response, StatusCode, header};

use super::{Answer, Question};

/// The session's cookie.
const COOKIE: &str = "_session=alice-0123456789";
/// The header that gives it.
const SET_COOKIE: &str = "_session=alice-0123456789; Path=/; HttpOnly; Secure";

/// Answers as the module says.
pub fn answer(question: &Question) -> Response<Answer> {
    let uri = question.request.uri();
    let mut response = Response::new(Answer::default());
    if uri.path() == "/oauth2/start" {
        let query = uri.query().unwrap_or_default();
        let back = query.strip_prefix("rd=").unwrap_or("/");
        redirect(&mut response, back);
        let cookie = HeaderValue::from_static(SET_COOKIE);
        response.headers_mut().insert(header::SET_COOKIE, cookie);
        return response;
    }
    let cookies = question.header("cookie").split(';').map(str::trim);
    if cookies.into_iter().any(|it| it == COOKIE) {
        let headers = response.headers_mut();
        headers.insert("x-auth-request-user", HeaderValue::from_static("alice"));
        return response;
    }
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    redirect(&mut response, &format!("/oauth2/start?rd={path}"));
    response
}

fn redirect(response: &mut Response<Answer>, to: &str) {
    *response.status_mut() = StatusCode::FOUND;
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
}
