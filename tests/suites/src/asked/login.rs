//! Logins: one like OAuth2 Proxy's, for authorization by HTTP ([`answer`]), and a page that gives tokens ([`page`]).
//!
//! Who has a session passes, who has none is sent to the login:
//!
//! ```text
//!   GET /oauth2/start?rd=PATH      302 to PATH, with the session's cookie
//!   anything else, with cookie     200, x-auth-request-user: <who>
//!   anything else, without         302 to /oauth2/start?rd=PATH
//! ```
//!
//! The page:
//!
//! ```text
//!   GET /login                                        200, a form; the cookie visited=1
//!   POST /login user=alice&password=wonderland        303 to /account, the cookie is a token of alice
//!   POST /login with anything else                    401
//!   POST /token grant_type=password, the same         200 and JSON: access_token (RFC 6749, section 4.3)
//!   GET /logout                                       303 to /login, without the cookie
//! ```

use http::{HeaderValue, Method, Response, StatusCode, header};
use serde_json::json;

use super::{Answer, Issuer, Question};

/// The cookie in which [`page`] gives tokens.
pub const TOKEN_COOKIE: &str = "session";
/// What a form says of who is known.
const ALICE: &str = "user=alice&password=wonderland";
/// The same for a program.
const GRANT: &str = "grant_type=password&username=alice&password=wonderland";

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

/// A page that gives tokens of `issuer`, as the module says.
pub fn page(issuer: Issuer) -> impl Fn(&Question) -> Response<Answer> + Send + Sync {
    move |question| {
        let request = &question.request;
        let is_post = request.method() == Method::POST;
        let token = || issuer.sign(&issuer.token("alice").claim("group", "customers"));
        let mut response = Response::new(Answer::default());
        match (request.uri().path(), is_post) {
            ("/login", false) => {
                let form = "<form method=post><input name=user><input name=password type=password></form>\n";
                response = Response::new(form.to_owned().into());
                let cookie = HeaderValue::from_static("visited=1; Path=/");
                response.headers_mut().insert(header::SET_COOKIE, cookie);
            }
            ("/login", true) if request.body().as_ref() == ALICE.as_bytes() => {
                let value = token().unwrap_or_default();
                let cookie = format!("{TOKEN_COOKIE}={value}; Path=/; HttpOnly; SameSite=Lax");
                see_other(&mut response, "/account", &cookie);
            }
            ("/token", true) if request.body().as_ref() == GRANT.as_bytes() => {
                let value = token().unwrap_or_default();
                let said =
                    json!({"access_token": value, "token_type": "Bearer", "expires_in": 3600});
                response = Response::new(said.to_string().into());
            }
            ("/logout", false) => {
                let cookie = format!("{TOKEN_COOKIE}=; Path=/; Max-Age=0");
                see_other(&mut response, "/login", &cookie);
            }
            _ if is_post => *response.status_mut() = StatusCode::UNAUTHORIZED,
            _ => *response.status_mut() = StatusCode::NOT_FOUND,
        }
        response
    }
}

fn see_other(response: &mut Response<Answer>, to: &str, cookie: &str) {
    redirect(response, to);
    *response.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
}

fn redirect(response: &mut Response<Answer>, to: &str) {
    *response.status_mut() = StatusCode::FOUND;
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
}
