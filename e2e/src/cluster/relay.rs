//! A cable between one program and what serves it, to be cut.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A TCP relay on loopback. Cut, it is like a cable: connections stay open and nothing comes through;
/// new ones get no answer. Mended, those connections are closed, and what was in them is lost.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    whole: watch::Sender<bool>,
    _task: JoinSet<()>,
}

impl Relay {
    /// Lays one that leads to `server`.
    pub(super) async fn to(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr().context("a relay without a port")?;
        let (whole, state) = watch::channel(true);
        let mut task = JoinSet::new();
        task.spawn(relay(listener, server, state));
        Ok(Self {
            address,
            whole,
            _task: task,
        })
    }

    /// Its near end.
    #[must_use]
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts it.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Mends it.
    pub fn mend(&self) {
        self.whole.send_replace(true);
    }
}

async fn relay(listener: TcpListener, server: SocketAddr, whole: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((near, _)) = listener.accept() => {
                connections.spawn(connect(near, server, whole.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connect(mut near: TcpStream, server: SocketAddr, mut whole: watch::Receiver<bool>) {
    let mut cut = whole.clone();
    let cut = async { cut.wait_for(|whole| !whole).await.is_ok() };
    let Ok(mut far) = TcpStream::connect(server).await else {
        return;
    };
    tokio::select! {
        biased;
        true = cut => {}
        // The end of either side is the end of both.
        _ = copy_bidirectional(&mut near, &mut far) => return,
    }
    // Nobody reads, and both sides stay open. An error means that the relay is gone.
    let _ = whole.wait_for(|whole| *whole).await;
}
