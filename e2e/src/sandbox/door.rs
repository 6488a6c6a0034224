//! A door in the sandbox: a port of the machine outside that leads to an address inside.
//!
//! A socket belongs to the network namespace it was made in, whoever holds it. So the outer process
//! binds the port and hands the socket in as standard input; nothing else crosses.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

/// The inner end of the door.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
}

/// Binds the outer end. Port 0 takes a free one.
pub(super) fn open(port: u16) -> Result<OwnedFd> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .with_context(|| format!("binding 127.0.0.1:{port}"))?;
    Ok(listener.into())
}

impl Door {
    pub(super) fn from_stdin() -> Result<Self> {
        let stdin = std::io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Self {
            listener: TcpListener::from(stdin),
        })
    }

    /// The address at which the machine outside reaches in.
    ///
    /// # Errors
    /// If standard input is no socket.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener
            .local_addr()
            .context("standard input is no listening socket")
    }

    /// Carries every connection to `target`, an address inside, until the run ends.
    ///
    /// # Errors
    /// If the socket cannot be used.
    pub fn lead_to(self, target: SocketAddr) -> Result<()> {
        self.listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        tokio::spawn(async move {
            while let Ok((mut outer, _)) = listener.accept().await {
                tokio::spawn(async move {
                    if let Ok(mut inner) = TcpStream::connect(target).await {
                        // Either side may close at any time.
                        let _ = copy_bidirectional(&mut outer, &mut inner).await;
                    }
                });
            }
        });
        Ok(())
    }
}
