//! gRPC through the real binary: HTTP/2 on both sides, a body that is answered while it is sent, and trailers.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use support::{Customer, Echo, Edge, PATIENCE, shop_table_at, stateless_bagisto};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What came of a call.
struct Outcome {
    status: u16,
    message: Vec<u8>,
    trailers: Option<HeaderMap>,
}

async fn channel(edge: &Edge) -> SendRequest<Bytes> {
    let socket = TcpStream::connect(edge.address()).await.unwrap();
    let (requests, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    requests
}

/// One call, as a client of gRPC makes it, with its message in so many frames.
async fn call(channel: &SendRequest<Bytes>, token: &str, message: &[u8], frames: usize) -> Outcome {
    let mut requests = channel.clone().ready().await.unwrap();
    let head = Request::post("http://shop.example.com/shop.Carts/Add")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", format!("Bearer {token}"));
    let (answer, mut sending) = requests
        .send_request(head.body(()).unwrap(), false)
        .unwrap();
    for frame in message.chunks(message.len().div_ceil(frames)) {
        sending
            .send_data(Bytes::copy_from_slice(frame), false)
            .unwrap();
    }
    sending.send_data(Bytes::new(), true).unwrap();
    let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
    let status = answer.status().as_u16();
    let mut body = answer.into_body();
    let mut message = Vec::new();
    while let Some(chunk) = timeout(PATIENCE, body.data()).await.unwrap() {
        let chunk = chunk.unwrap();
        body.flow_control().release_capacity(chunk.len()).unwrap();
        message.extend_from_slice(&chunk);
    }
    let trailers = timeout(PATIENCE, body.trailers()).await.unwrap().unwrap();
    Outcome {
        status,
        message,
        trailers,
    }
}

#[tokio::test]
async fn calls_pass_with_their_trailers_until_their_token_is_dead() {
    let (shop, server) = (stateless_bagisto(), Echo::in_the_clear());
    let edge = Edge::with(&format!(
        "h2c = true\n{}upstream_http2 = true\nanswer = \"local\"\n",
        shop_table_at(&shop, &[server.address()])
    ));
    let alice = Customer::signed_in(&shop);
    let channel = channel(&edge).await;
    let message: Vec<u8> = (0..60_000u32).flat_map(u32::to_be_bytes).collect();
    for frames in [1, 7, 100] {
        let outcome = call(&channel, alice.token(), &message[..50_000], frames).await;
        assert_eq!(outcome.status, 200);
        assert!(outcome.message == message[..50_000], "in {frames} frames");
        assert_eq!(outcome.trailers.unwrap()["grpc-status"], "0");
    }
    let heard = server.heard().len();
    assert_eq!(alice.log_out(&edge), 200);
    let outcome = call(&channel, alice.token(), &message[..100], 1).await;
    assert_eq!(outcome.status, 401);
    assert_eq!(server.heard().len(), heard, "the shop heard nothing of it");
    let bob = Customer::signed_in(&shop);
    let outcome = call(&channel, bob.token(), &message[..100], 1).await;
    assert_eq!(outcome.status, 200, "the channel goes on for others");
}
