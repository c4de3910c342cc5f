//! A server that speaks HTTP/2, as gRPC servers do: in the clear by prior knowledge, or with TLS.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// It answers every request with its body, and says in the trailers how it went. Dropping it ends it.
pub struct Echo {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Call>>>,
    /// Gone when the server is.
    _alive: oneshot::Sender<()>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    pub uri: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

impl Echo {
    pub fn in_the_clear() -> Self {
        Self::open(None)
    }

    pub fn with_tls(mut tls: ServerConfig) -> Self {
        tls.alpn_protocols = vec![b"h2".to_vec()];
        Self::open(Some(TlsAcceptor::from(Arc::new(tls))))
    }

    fn open(tls: Option<TlsAcceptor>) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (alive, gone) = oneshot::channel();
        let hearing = Arc::clone(&heard);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = accept(&listener, tls.as_ref(), &hearing) => {}
                    _ = gone => {}
                }
            });
        });
        Self {
            address,
            heard,
            _alive: alive,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn heard(&self) -> Vec<Call> {
        self.heard.lock().unwrap().clone()
    }
}

async fn accept(listener: &TcpListener, tls: Option<&TlsAcceptor>, heard: &Arc<Mutex<Vec<Call>>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let heard = Arc::clone(heard);
        match tls.cloned() {
            None => drop(tokio::spawn(serve(stream, heard))),
            Some(tls) => drop(tokio::spawn(async move {
                if let Ok(stream) = tls.accept(stream).await {
                    serve(stream, heard).await;
                }
            })),
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, heard: Arc<Mutex<Vec<Call>>>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return; // another protocol
    };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(echo(request, respond, Arc::clone(&heard)));
    }
}

async fn echo(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    heard: Arc<Mutex<Vec<Call>>>,
) {
    let (parts, mut stream) = request.into_parts();
    let mut body = Vec::new();
    while let Some(Ok(chunk)) = stream.data().await {
        stream.flow_control().release_capacity(chunk.len()).unwrap();
        body.extend_from_slice(&chunk);
    }
    let trailers = stream.trailers().await.unwrap_or_default();
    heard.lock().unwrap().push(Call {
        method: parts.method,
        uri: parts.uri.to_string(),
        headers: parts.headers,
        body: body.clone(),
        trailers,
    });
    let answer = Response::builder().header("content-type", "application/grpc");
    let answer = respond.send_response(answer.body(()).unwrap(), false);
    let mut answer = answer.unwrap();
    drop(answer.send_data(body.into(), false));
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    drop(answer.send_trailers(trailers));
}
