//! Places where tokens are looked for, and those that only look like one.

use super::*;

#[tokio::test]
async fn a_scheme_behind_any_white_space_is_looked_at_and_one_without_a_token_is_refused() {
    let signer = Signer::new("k");
    let shop = Shop::new(vec![rule(ISSUER, inline(&signer))]).await;
    let good = signer.sign(&claims(ISSUER));
    let bad = Signer::new("k").sign(&claims(ISSUER));
    for (values, status) in [
        (vec![format!("Bearer\t{good}")], 200),
        (vec![format!("bEARER \t {good}\t")], 200),
        (vec![format!("Bearer\t{bad}")], 401),
        (vec![format!("Bearer{bad}")], 401),
        (vec!["Bearer".to_owned()], 401),
        (vec!["Basic YTpi".to_owned()], 200),
        (
            vec![format!("Bearer {good}"), format!("bearer\t{bad}")],
            401,
        ),
        (vec![format!("Bearer {good}"), "Bearer".to_owned()], 401),
        (vec!["Basic YTpi".to_owned(), format!("Bearer {bad}")], 401),
        (vec![format!("Bearer {good}"), "Basic YTpi".to_owned()], 200),
    ] {
        let headers: Vec<_> = values
            .iter()
            .map(|value| ("authorization", value.as_str()))
            .collect();
        let answered = shop.kit.ask(with(get("/"), &headers)).await;
        assert_eq!(answered.status(), status, "{values:?}");
    }
    let counted = shop.kit.scraped("ambit_jwt_requests_total{");
    for line in ["\"allowed\"} 3", "\"absent\"} 1", "\"denied\"} 6"] {
        assert!(counted.contains(line), "{line}: {counted}");
    }
}

#[tokio::test]
async fn a_header_that_an_application_takes_for_the_tokens_own_goes() {
    let signer = Signer::new("k");
    let bad = Signer::new("k").sign(&claims(ISSUER));
    let mut looking = rule(ISSUER, inline(&signer));
    looking.from_headers = vec![("x-jwt-token".into(), "".into())];
    looking.forward_original_token = true;
    let shop = Shop::new(vec![looking]).await;
    let good = signer.sign(&claims(ISSUER));
    for real in [Some(&good), None] {
        let mut headers = vec![("x_jwt_token", bad.as_str()), ("x-jwt_token", bad.as_str())];
        headers.extend(real.map(|real| ("x-jwt-token", real.as_str())));
        let answered = shop.kit.ask(with(get("/"), &headers)).await;
        assert_eq!(answered.status(), 200);
        let head = shop.heads.lock().pop().unwrap();
        let mut names = head.headers.keys().map(|name| name.as_str());
        let tokens = names.by_ref().filter(|name| name.contains("jwt"));
        assert_eq!(tokens.count(), usize::from(real.is_some()));
        assert_eq!(
            head.headers
                .get("x-jwt-token")
                .map(|value| value.to_str().unwrap()),
            real.map(String::as_str)
        );
    }
}
