//! Accepts connections, with a thread for each.

use std::{
    io::{self, BufReader},
    net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        Arc,
    },
    thread,
    time::Duration,
};

use mistralrs_core::debug_line;

use crate::{
    handlers,
    http::{ReadError, Request},
    State,
};

const MAX_CONNECTIONS: usize = 64;
/// Silent clients are dropped after this.
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    state: Arc<State>,
    stopped: Arc<AtomicBool>,
}

/// Stops a server from another thread.
#[derive(Debug, Clone)]
pub struct Handle {
    addr: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl Handle {
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the server, which waits for a connection.
        let _ = TcpStream::connect(self.addr);
    }
}

/// Counts a connection as long as it lives.
struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Server {
    /// Port 0 takes a free one.
    pub fn bind(addr: impl ToSocketAddrs, state: State) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(addr)?,
            state: Arc::new(state),
            stopped: Arc::default(),
        })
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    pub fn handle(&self) -> io::Result<Handle> {
        Ok(Handle {
            addr: self.local_addr()?,
            stopped: Arc::clone(&self.stopped),
        })
    }

    /// Serves until a [`Handle`] stops it.
    pub fn serve(self) {
        let open = Arc::new(AtomicUsize::new(0));
        for stream in self.listener.incoming() {
            if self.stopped.load(Ordering::SeqCst) {
                return;
            }
            let mut stream = match stream {
                Ok(stream) => stream,
                Err(error) => {
                    debug_line!("accept: {error}");
                    // Out of file descriptors, say: do not burn the processor.
                    thread::sleep(Duration::from_millis(10));
                    continue;
                }
            };
            let slot = Slot(Arc::clone(&open));
            if open.fetch_add(1, Ordering::SeqCst) >= MAX_CONNECTIONS {
                let busy = handlers::error(503, "too many connections");
                let _ = busy.write(&mut stream, false);
                continue;
            }
            let state = Arc::clone(&self.state);
            thread::spawn(move || {
                let _slot = slot;
                if let Err(error) = serve_connection(&state, &stream) {
                    debug_line!("connection: {error}");
                }
            });
        }
    }
}

fn serve_connection(state: &State, stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.set_nodelay(true)?;
    let mut input = BufReader::new(stream);
    let mut output = stream;
    loop {
        match Request::read(&mut input, &mut output) {
            Ok(Some(request)) => {
                if !handlers::handle(state, &request, &mut output)? {
                    return Ok(());
                }
            }
            Ok(None) => return Ok(()),
            Err(ReadError::Io(error)) => return Err(error),
            Err(ReadError::Bad { status, message }) => {
                return handlers::error(status, message).write(&mut output, false);
            }
        }
    }
}
