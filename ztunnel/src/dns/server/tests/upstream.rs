//! What is asked of others, and what they may do to us.

use super::*;

#[tokio::test]
async fn other_names_are_forwarded_and_answered_as_they_are() {
    let (upstream, seen) = udp_upstream(|query| vec![answered(query, &[[192, 0, 2, 1]])]).await;
    let running = start(vec![upstream]);
    let mut ids = std::collections::HashSet::new();
    for _ in 0..8 {
        let asked = query("www.example.org.", Some(1232));
        let answer = ask_udp(running.udp, &asked).await;
        assert_eq!(answer.metadata.id, asked.metadata.id);
        assert_eq!(addresses(&answer), ["192.0.2.1"]);
        assert_eq!(answer.answers[0].ttl, 7);
        let forwarded = seen.lock().unwrap().pop().unwrap();
        assert_eq!(forwarded.queries, asked.queries);
        assert_eq!(forwarded.edns, asked.edns);
        assert_ne!(forwarded.metadata.id, asked.metadata.id);
        ids.insert(forwarded.metadata.id);
    }
    assert!(ids.len() > 4, "{ids:?}");
    let events = running.events.lock().unwrap();
    assert!(
        matches!(
            events[..3],
            [
                Event::Request,
                Event::UpstreamRequest,
                Event::UpstreamDuration(_)
            ]
        ),
        "{events:?}"
    );
}

#[tokio::test]
async fn forged_answers_are_passed_over() {
    let (upstream, _) = udp_upstream(|query| {
        let mut other_id = answered(query, &[[6, 6, 6, 6]]);
        other_id.metadata.id ^= 1;
        let mut other_name = answered(query, &[[6, 6, 6, 6]]);
        other_name.queries[0].name = Name::from_str("example.org.").unwrap();
        vec![
            other_id,
            other_name,
            query.clone(),
            answered(query, &[[192, 0, 2, 1]]),
        ]
    })
    .await;
    let running = start(vec![upstream]);
    assert_eq!(
        addresses(&ask_udp(running.udp, &query("www.example.org.", None)).await),
        ["192.0.2.1"]
    );
}

#[tokio::test]
async fn no_such_name_is_an_answer() {
    let (upstream, _) = udp_upstream(|query| vec![failed(query, ResponseCode::NXDomain)]).await;
    let running = start(vec![upstream]);
    let answer = ask_udp(running.udp, &query("no.example.org.", None)).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
}

#[tokio::test]
async fn the_next_server_is_asked_when_the_first_is_closed_silent_or_failing() {
    let good = || udp_upstream(|query| vec![answered(query, &[[192, 0, 2, 2]])]);
    let (silent, asked_silent) = udp_upstream(|_| Vec::new()).await;
    let (failing, asked_failing) =
        udp_upstream(|query| vec![failed(query, ResponseCode::ServFail)]).await;
    for first in [closed(), silent, failing] {
        let running = start(vec![first, good().await.0]);
        assert_eq!(
            addresses(&ask_udp(running.udp, &query("www.example.org.", None)).await),
            ["192.0.2.2"]
        );
    }
    assert_eq!(asked_silent.lock().unwrap().len(), 1);
    assert_eq!(asked_failing.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn without_an_answer_the_client_is_told_of_a_failure() {
    let (failing, _) = udp_upstream(|query| vec![failed(query, ResponseCode::Refused)]).await;
    for (servers, code) in [
        (vec![], ResponseCode::ServFail),
        (vec![closed()], ResponseCode::ServFail),
        (vec![closed(), closed()], ResponseCode::ServFail),
        (vec![failing, closed()], ResponseCode::Refused),
    ] {
        let running = start(servers);
        let answer = ask_udp(running.udp, &query("www.example.org.", None)).await;
        assert_eq!(answer.metadata.response_code, code);
    }
}

#[tokio::test]
async fn a_slow_upstream_delays_nobody_else() {
    let (silent, asked) = udp_upstream(|_| Vec::new()).await;
    let running = start(vec![silent]);
    let waiting = UdpSocket::bind(LOCALHOST).await.unwrap();
    waiting.connect(running.udp).await.unwrap();
    waiting
        .send(&query("www.example.org.", None).to_vec().unwrap())
        .await
        .unwrap();
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while asked.lock().unwrap().is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "never forwarded");
        tokio::task::yield_now().await;
    }
    assert_eq!(
        addresses(&ask_udp(running.udp, &query("cart.", None)).await),
        ["10.96.0.0"]
    );
    let mut nothing = [0; 1];
    assert_eq!(
        waiting.try_recv(&mut nothing).unwrap_err().kind(),
        io::ErrorKind::WouldBlock
    );
}

#[tokio::test]
async fn truncation_upstream_reaches_the_client() {
    let (upstream, _) = udp_upstream(|query| {
        let mut reply = answered(query, &[]);
        reply.metadata.truncation = true;
        vec![reply]
    })
    .await;
    let running = start(vec![upstream]);
    assert!(
        ask_udp(running.udp, &query("www.example.org.", None))
            .await
            .metadata
            .truncation
    );
}

#[tokio::test]
async fn an_upstream_answer_that_is_too_long_for_the_client_sends_it_to_tcp() {
    let (upstream, _) = udp_upstream(|query| vec![answered(query, &[[192, 0, 2, 1]; 60])]).await;
    let running = start(vec![upstream]);
    let answer = ask_udp(running.udp, &query("www.example.org.", None)).await;
    assert!(answer.metadata.truncation);
    assert_eq!(answer.answers, []);
    let answer = ask_udp(running.udp, &query("www.example.org.", Some(4096))).await;
    assert_eq!(
        (answer.metadata.truncation, answer.answers.len()),
        (false, 60)
    );
}

#[tokio::test]
async fn tcp_is_forwarded_over_tcp_and_in_order() {
    let listener = TcpListener::bind(LOCALHOST).await.unwrap();
    let upstream = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let query =
                Message::from_vec(&read_message(&mut stream).await.unwrap().unwrap()).unwrap();
            let reply = answered(&query, &[[192, 0, 2, 1]; 1000]).to_vec().unwrap();
            // In pieces: a message may come in any.
            stream
                .write_all(&u16::try_from(reply.len()).unwrap().to_be_bytes())
                .await
                .unwrap();
            for piece in reply.chunks(1000) {
                stream.write_all(piece).await.unwrap();
                stream.flush().await.unwrap();
            }
        }
    });
    let running = start(vec![upstream]);
    let mut stream = TcpStream::connect(running.tcp).await.unwrap();
    let (forwarded, own) = (query("www.example.org.", None), query("cart.", None));
    write_message(&mut stream, &forwarded.to_vec().unwrap())
        .await
        .unwrap();
    write_message(&mut stream, &own.to_vec().unwrap())
        .await
        .unwrap();
    for (asked, records) in [(forwarded, 1000), (own, 1)] {
        let answer =
            Message::from_vec(&within(read_message(&mut stream)).await.unwrap().unwrap()).unwrap();
        assert_eq!(
            (answer.metadata.id, answer.answers.len()),
            (asked.metadata.id, records)
        );
    }
}
