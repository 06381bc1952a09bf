//! The connection of a client. The HTTP library holds buffers and more for as long as a request lasts; while a client does
//! nothing but listen to an event stream, its connection is taken off the library, and goes back to it afterwards.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};

use actix_http::ConnectionType;
use actix_web::HttpRequest;
use actix_web::dev::{Extensions, Service, ServiceFactory};
use actix_web::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use actix_web::http::{Method, Version};
use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::future::LocalBoxFuture;
use futures_util::stream::{LocalBoxStream, Stream};
use memchr::memmem;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tracing::Span;

use crate::types::policy::KEEP_ALIVE;

/// How much of a stream goes out in one piece where much waits.
const ONE_PIECE: usize = 32 * 1024;
/// How much of what a client sends while it listens is kept for afterwards; the rest stays in its socket.
const MOST_EARLY: usize = 128 * 1024;

/// What an event stream has to say.
pub enum Beat {
    /// This goes out.
    Event(Bytes),
    /// Nothing, and it may stay so for a while.
    Idle,
}

/// An event stream.
pub type Beats = LocalBoxStream<'static, Beat>;

struct Shared {
    /// Until a stream takes it.
    socket: Option<TcpStream>,
    /// What was read while the library did not read.
    early: Bytes,
    /// Bytes that the library has read.
    read: u64,
    turn: Turn,
    /// Whether all that was said since [`Mark::said`] has gone out.
    is_out: bool,
    /// Whether somebody waits for that.
    is_awaited: bool,
    leave: Option<Leave>,
}

/// What has come since something went out last: a request, and more than that only when a client does not wait for answers.
#[derive(Clone, Copy, Default)]
struct Turn {
    length: usize,
    /// The length of a request's head.
    head: Option<usize>,
    is_over: bool,
}

/// A connection that was taken off.
struct Leave {
    socket: TcpStream,
    beats: Beats,
    span: Span,
    /// Whether it is to go on afterwards.
    stays: bool,
}

/// A connection, as the HTTP library sees it. Without its socket it has ended.
pub struct Line(Rc<RefCell<Shared>>);

impl Line {
    fn new(socket: TcpStream, early: Bytes) -> Self {
        Self(Rc::new(RefCell::new(Shared {
            socket: Some(socket),
            early,
            read: 0,
            turn: Turn::default(),
            is_out: false,
            is_awaited: false,
            leave: None,
        })))
    }

    /// Lets requests find their connection.
    pub fn show(&self, data: &mut Extensions) {
        data.insert(Hold(Rc::downgrade(&self.0)));
    }
}

impl Shared {
    fn note(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.turn.is_over {
            self.turn = Turn::default();
        }
        // One that comes in pieces stays unknown: what looks like its end in a later piece may be a part of the body.
        if self.turn.length == 0 {
            self.turn.head = memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4);
        }
        self.turn.length += bytes.len();
        self.read += bytes.len() as u64;
    }
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let shared = &mut *self.0.borrow_mut();
        let Some(socket) = &mut shared.socket else { return Poll::Ready(Ok(())) };
        let before = buffer.filled().len();
        if shared.early.is_empty() {
            ready!(Pin::new(socket).poll_read(context, buffer))?;
        } else {
            let early = shared.early.split_to(shared.early.len().min(buffer.remaining()));
            buffer.put_slice(&early);
        }
        shared.note(buffer.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let shared = &mut *self.0.borrow_mut();
        let Some(socket) = &mut shared.socket else { return Poll::Ready(Ok(0)) };
        shared.turn.is_over = true;
        Pin::new(socket).poll_write(context, bytes)
    }

    /// The library comes here when it has written everything that it had.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shared = &mut *self.0.borrow_mut();
        shared.is_out = true;
        if std::mem::take(&mut shared.is_awaited) {
            context.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0.borrow_mut().socket {
            Some(socket) => Pin::new(socket).poll_shutdown(context),
            None => Poll::Ready(Ok(())),
        }
    }
}

/// Where a request finds its connection.
struct Hold(Weak<RefCell<Shared>>);

/// A request that its whole connection belongs to: nothing came before that is not answered, and nothing after it.
pub struct Mark {
    line: Weak<RefCell<Shared>>,
    read: u64,
    stays: bool,
}

impl Mark {
    /// That of a request whose body has been read. `None` where its connection cannot be taken off the library.
    #[must_use]
    pub fn of(request: &HttpRequest) -> Option<Self> {
        let headers = request.headers();
        let length = match headers.get(CONTENT_LENGTH) {
            Some(length) => length.to_str().ok()?.parse().ok()?,
            None => 0,
        };
        let is_read = length == 0 || request.method() == Method::POST;
        let after = request.head().connection_type();
        let is_plain = request.version() == Version::HTTP_11 && after != ConnectionType::Upgrade;
        if !is_read || !is_plain || headers.contains_key(TRANSFER_ENCODING) {
            return None;
        }
        let line = request.conn_data::<Hold>()?.0.clone();
        let (turn, read) = line.upgrade().map(|line| (line.borrow().turn, line.borrow().read))?;
        let whole = turn.head?.checked_add(length)?;
        (whole == turn.length).then(|| Self { line, read, stays: after == ConnectionType::KeepAlive })
    }

    /// Something was said that has yet to go out.
    fn said(&self) {
        if let Some(line) = self.line.upgrade() {
            line.borrow_mut().is_out = false;
        }
    }

    /// Takes the connection off, if all has gone out and nothing has come; it goes on with the stream.
    fn leave(&self, beats: &mut Option<Beats>) -> bool {
        let Some(line) = self.line.upgrade() else { return false };
        let line = &mut *line.borrow_mut();
        if !line.is_out {
            line.is_awaited = true;
            return false;
        }
        if line.read != self.read || !line.early.is_empty() {
            return false;
        }
        let (Some(socket), Some(beats)) = (line.socket.take(), beats.take()) else { return false };
        line.leave = Some(Leave { socket, beats, span: Span::current(), stays: self.stays });
        true
    }
}

/// An event stream as the body of an answer, until its connection is taken off.
pub struct Listening {
    beats: Option<Beats>,
    mark: Option<Mark>,
    has_begun: bool,
    is_idle: bool,
}

impl Listening {
    /// In answer to a request.
    #[must_use]
    pub const fn new(beats: Beats, mark: Option<Mark>) -> Self {
        Self { beats: Some(beats), mark, has_begun: false, is_idle: false }
    }

    fn said(&self) {
        self.mark.iter().for_each(Mark::said);
    }
}

impl Stream for Listening {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !std::mem::replace(&mut self.has_begun, true) {
            // The head.
            self.said();
        }
        loop {
            let Some(beats) = &mut self.beats else { return Poll::Pending };
            match beats.as_mut().poll_next(context) {
                Poll::Ready(Some(Beat::Idle)) => self.is_idle = true,
                Poll::Ready(Some(Beat::Event(bytes))) => {
                    self.is_idle = false;
                    self.said();
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => break,
            }
        }
        let Self { beats, mark, is_idle, .. } = &mut *self;
        if *is_idle && mark.as_ref().is_some_and(|mark| mark.leave(beats)) {
            // To find that its connection has ended.
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Leave {
    /// Sends the stream, in chunks as its head has promised (RFC 9112 §7.1). What came meanwhile, if the connection can go on.
    async fn listen(mut self) -> Option<(TcpStream, Bytes)> {
        let (mut out, mut early, mut is_over) = (BytesMut::new(), BytesMut::new(), false);
        let done = poll_fn(|context| {
            loop {
                match self.poll_early(context, &mut early) {
                    Poll::Ready(true) => {}
                    Poll::Ready(false) => return Poll::Ready(false),
                    Poll::Pending => break,
                }
            }
            loop {
                while !out.is_empty() {
                    match ready!(Pin::new(&mut self.socket).poll_write(context, &out)) {
                        Ok(written) if written > 0 => out.advance(written),
                        _ => return Poll::Ready(false),
                    }
                }
                // Nothing is held while nothing goes out.
                out = BytesMut::new();
                if is_over {
                    return Poll::Ready(true);
                }
                is_over = self.gather(context, &mut out);
                if out.is_empty() {
                    return Poll::Pending;
                }
            }
        });
        let whole = done.await;
        let Self { mut socket, stays, .. } = self;
        if whole && !stays {
            let _ = socket.shutdown().await;
        }
        (whole && stays).then(|| (socket, early.freeze()))
    }

    /// Whether the client is still there after what it has sent.
    fn poll_early(&mut self, context: &mut Context<'_>, early: &mut BytesMut) -> Poll<bool> {
        if early.len() >= MOST_EARLY {
            return Poll::Pending;
        }
        let mut space = [MaybeUninit::<u8>::uninit(); 1024];
        let mut buffer = ReadBuf::uninit(&mut space);
        let read = ready!(Pin::new(&mut self.socket).poll_read(context, &mut buffer));
        early.extend_from_slice(buffer.filled());
        Poll::Ready(read.is_ok() && !buffer.filled().is_empty())
    }

    /// Puts into `out` what there is to send; whether it is all that there ever will be.
    fn gather(&mut self, context: &mut Context<'_>, out: &mut BytesMut) -> bool {
        let Self { beats, span, .. } = self;
        span.in_scope(|| {
            while out.len() < ONE_PIECE {
                match beats.as_mut().poll_next(context) {
                    Poll::Ready(Some(Beat::Event(bytes))) if !bytes.is_empty() => {
                        out.extend_from_slice(format!("{:X}\r\n", bytes.len()).as_bytes());
                        out.extend_from_slice(&bytes);
                        out.extend_from_slice(b"\r\n");
                    }
                    Poll::Ready(Some(_)) => {}
                    Poll::Ready(None) => {
                        out.extend_from_slice(b"0\r\n\r\n");
                        return true;
                    }
                    Poll::Pending => return false,
                }
            }
            false
        })
    }
}

/// Serves connections with what serves HTTP, `S` or what makes one, except for those that were taken off.
pub struct Lines<S, N> {
    http: S,
    stopping: N,
}

impl<S, N> Lines<S, N> {
    /// `stopping` ends when the server is about to stop.
    pub const fn new(http: S, stopping: N) -> Self {
        Self { http, stopping }
    }
}

impl<F, N, W> ServiceFactory<TcpStream> for Lines<F, N>
where
    F: ServiceFactory<(Line, Option<SocketAddr>), Config = (), Response = ()>,
    F::Future: 'static,
    F::Service: 'static,
    F::Error: 'static,
    N: Fn() -> W + Clone + 'static,
    W: Future<Output = ()> + 'static,
{
    type Response = ();
    type Error = F::Error;
    type Config = ();
    type Service = Lines<Rc<F::Service>, N>;
    type InitError = F::InitError;
    type Future = LocalBoxFuture<'static, Result<Self::Service, F::InitError>>;

    fn new_service(&self, (): ()) -> Self::Future {
        let (http, stopping) = (self.http.new_service(()), self.stopping.clone());
        Box::pin(async move { Ok(Lines { http: Rc::new(http.await?), stopping }) })
    }
}

impl<S, N, W> Service<TcpStream> for Lines<Rc<S>, N>
where
    S: Service<(Line, Option<SocketAddr>), Response = ()> + 'static,
    S::Error: 'static,
    N: Fn() -> W + Clone + 'static,
    W: Future<Output = ()> + 'static,
{
    type Response = ();
    type Error = S::Error;
    type Future = LocalBoxFuture<'static, Result<(), S::Error>>;

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.http.poll_ready(context)
    }

    fn call(&self, socket: TcpStream) -> Self::Future {
        Box::pin(serve(Rc::clone(&self.http), socket, self.stopping.clone()))
    }
}

async fn serve<S, N, W>(http: Rc<S>, mut socket: TcpStream, stopping: N) -> Result<(), S::Error>
where
    S: Service<(Line, Option<SocketAddr>), Response = ()>,
    N: Fn() -> W,
    W: Future<Output = ()>,
{
    // An event of a stream goes out when it comes, and does not wait until the one before it was acknowledged.
    let _ = socket.set_nodelay(true);
    let peer = socket.peer_addr().ok();
    let mut early = Bytes::new();
    loop {
        let line = Line::new(socket, early);
        let shared = Rc::clone(&line.0);
        // Boxed, so that nothing is left of it while a stream goes on.
        Box::pin(http.call((line, peer))).await?;
        let leave = shared.borrow_mut().leave.take();
        drop(shared);
        let Some(leave) = leave else { return Ok(()) };
        let Some(left) = Box::pin(leave.listen()).await else { return Ok(()) };
        (socket, early) = left;
        if early.is_empty() {
            // The library would wait for a first request, and not for so long.
            let again = Box::pin(async {
                tokio::select! {
                    readable = socket.readable() => readable.is_ok(),
                    () = tokio::time::sleep(KEEP_ALIVE) => false,
                    () = stopping() => false,
                }
            });
            if !again.await {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::future::{pending, ready};

    use actix_http::HttpService;
    use actix_service::map_config;
    use actix_web::dev::AppConfig;
    use actix_web::{App, HttpResponse, web};
    use futures_util::StreamExt as _;
    use futures_util::stream;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

    use super::*;

    /// What is going to be said on streams, and the lines of those that were opened.
    #[derive(Default)]
    struct Streams {
        said: RefCell<VecDeque<UnboundedReceiver<Beat>>>,
        lines: RefCell<Vec<Weak<RefCell<Shared>>>>,
    }

    async fn answer(request: HttpRequest, streams: web::Data<Streams>) -> HttpResponse {
        if request.path() == "/plain" {
            return HttpResponse::Ok().body("plain");
        }
        streams.lines.borrow_mut().push(request.conn_data::<Hold>().unwrap().0.clone());
        let mut said = streams.said.borrow_mut().pop_front().unwrap();
        let beats = stream::poll_fn(move |context| said.poll_recv(context)).boxed_local();
        HttpResponse::Ok().streaming(Listening::new(beats, Mark::of(&request)))
    }

    struct Client {
        streams: web::Data<Streams>,
        socket: TcpStream,
        seen: String,
    }

    /// A client whose connection is served; with `stops`, by a server that is about to stop.
    async fn client(stops: bool) -> Client {
        let streams = web::Data::<Streams>::default();
        let app = App::new().app_data(streams.clone()).default_service(web::to(answer));
        let http = HttpService::build()
            .h1_allow_half_closed(false)
            .on_connect_ext(Line::show)
            .h1(map_config(app, |()| AppConfig::default()));
        let http = Rc::new(http.new_service(()).await.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let served = listener.accept().await.unwrap().0;
        let stopping = move || async move { if stops { ready(()).await } else { pending().await } };
        actix_web::rt::spawn(serve(http, served, stopping));
        Client { streams, socket, seen: String::new() }
    }

    impl Client {
        fn stream(&self) -> UnboundedSender<Beat> {
            let (say, said) = unbounded_channel();
            self.streams.said.borrow_mut().push_back(said);
            say
        }

        async fn ask(&mut self, path: &str, more: &str) {
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n{more}\r\n");
            self.socket.write_all(request.as_bytes()).await.unwrap();
        }

        /// Reads until this has come, and forgets what came up to there.
        async fn reads(&mut self, text: &str) {
            while !self.seen.contains(text) {
                let mut part = [0; 64];
                let length = self.socket.read(&mut part).await.unwrap();
                assert!(length > 0, "{text:?} after {:?}", self.seen);
                self.seen.push_str(std::str::from_utf8(&part[..length]).unwrap());
            }
            self.seen = self.seen.split_once(text).unwrap().1.to_owned();
        }

        async fn reads_the_end(&mut self) {
            assert_eq!(self.socket.read(&mut [0]).await.unwrap(), 0);
        }

        fn is_taken_off(&self) -> bool {
            self.streams.lines.borrow().last().is_some_and(|line| line.upgrade().is_none())
        }

        async fn is_going_to_be_taken_off(&self) {
            while !self.is_taken_off() {
                tokio::task::yield_now().await;
            }
        }
    }

    fn event(text: &str) -> Beat {
        Beat::Event(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[actix_web::test]
    async fn a_connection_is_taken_off_and_comes_back() {
        let mut client = client(false).await;
        for round in 0..2 {
            let say = client.stream();
            client.ask("/events", "").await;
            client.reads("200 OK").await;
            say.send(event("a")).unwrap();
            client.reads("\r\n1\r\na\r\n").await;
            assert!(!client.is_taken_off(), "nobody has said that it is idle");
            say.send(Beat::Idle).unwrap();
            client.is_going_to_be_taken_off().await;
            say.send(event("")).unwrap();
            say.send(event("0123456789 abcdef")).unwrap();
            client.reads("11\r\n0123456789 abcdef\r\n").await;
            if round == 0 {
                // Early, and answered afterwards.
                client.ask("/plain", "").await;
            }
            drop(say);
            client.reads("0\r\n\r\n").await;
            if round == 0 {
                client.reads("\r\n\r\nplain").await;
            }
        }
    }

    #[actix_web::test]
    async fn a_client_that_goes_ends_its_stream() {
        let mut client = client(false).await;
        let say = client.stream();
        client.ask("/events", "").await;
        say.send(Beat::Idle).unwrap();
        client.is_going_to_be_taken_off().await;
        client.reads("\r\n\r\n").await;
        assert!(!say.is_closed());
        drop(client.socket);
        say.closed().await;
    }

    #[actix_web::test]
    async fn a_connection_with_more_on_it_stays() {
        let mut client = client(false).await;
        let say = client.stream();
        client.ask("/events", "\r\nGET /plain HTTP/1.1\r\nhost: x\r\n").await;
        say.send(Beat::Idle).unwrap();
        say.send(event("a")).unwrap();
        client.reads("1\r\na\r\n").await;
        say.send(Beat::Idle).unwrap();
        say.send(event("b")).unwrap();
        client.reads("1\r\nb\r\n").await;
        assert!(!client.is_taken_off());
        drop(say);
        client.reads("\r\n\r\nplain").await;
    }

    #[actix_web::test]
    async fn a_connection_ends_after_its_stream_where_it_should() {
        for (stops, more) in [(false, "connection: close\r\n"), (true, "")] {
            let mut client = client(stops).await;
            let say = client.stream();
            client.ask("/events", more).await;
            say.send(Beat::Idle).unwrap();
            client.is_going_to_be_taken_off().await;
            drop(say);
            client.reads("0\r\n\r\n").await;
            client.reads_the_end().await;
        }
    }
}
