//! A UDP socket that takes and sends many datagrams a call, and answers from the address that was asked.
//!
//! A node has several addresses; an answer from another one than was asked is dropped by the client. The kernel tells
//! each datagram's own address in a control message, and takes the same message to choose the sender.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::wire::{QUERY_BYTES_MAX, UDP_BYTES_MAX};

/// Datagrams of one call.
pub const BATCH: usize = 32;
const CONTROL_BYTES: usize = 64;

pub struct Socket(OwnedFd);

/// Control messages as the kernel wrote them; aligned as it expects.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

/// Who sent a datagram, and to which of our addresses.
#[derive(Clone, Copy)]
pub struct Peer {
    name: libc::sockaddr_storage,
    name_bytes: libc::socklen_t,
    control: Control,
    control_bytes: usize,
}

impl Peer {
    fn empty() -> Self {
        // SAFETY: sockaddr_storage is plain numbers, for which all zeros are a value.
        let name = unsafe { std::mem::zeroed() };
        Self { name, name_bytes: 0, control: Control([0; CONTROL_BYTES]), control_bytes: 0 }
    }

    /// Never a v4-mapped one.
    pub fn ip(&self) -> IpAddr {
        let name: *const libc::sockaddr_storage = &raw const self.name;
        match i32::from(self.name.ss_family) {
            libc::AF_INET => {
                // SAFETY: the kernel filled in an address of this family; the storage is large enough for any.
                let v4 = unsafe { *name.cast::<libc::sockaddr_in>() };
                IpAddr::V4(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)))
            }
            libc::AF_INET6 => {
                // SAFETY: as above.
                let v6 = unsafe { *name.cast::<libc::sockaddr_in6>() };
                IpAddr::V6(Ipv6Addr::from(v6.sin6_addr.s6_addr)).to_canonical()
            }
            _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        }
    }

    /// Port 0 cannot be answered; whoever puts it there means no good.
    pub fn can_be_answered(&self) -> bool {
        // The port is at the same place in both families.
        let name: *const libc::sockaddr_storage = &raw const self.name;
        // SAFETY: reads within the storage, which has room for any address.
        self.name_bytes > 0 && unsafe { (*name.cast::<libc::sockaddr_in>()).sin_port } != 0
    }
}

/// Room for the datagrams of one call, and for their answers.
pub struct Batch {
    bytes: Vec<[u8; QUERY_BYTES_MAX]>,
    lengths: [usize; BATCH],
    peers: Vec<Peer>,
    /// Answers, each with the place of its question.
    replies: Vec<Vec<u8>>,
    reply_to: [usize; BATCH],
    reply_count: usize,
}

impl Batch {
    pub fn new() -> Self {
        Self {
            bytes: vec![[0; QUERY_BYTES_MAX]; BATCH],
            lengths: [0; BATCH],
            peers: vec![Peer::empty(); BATCH],
            replies: (0..BATCH).map(|_| Vec::with_capacity(UDP_BYTES_MAX.into())).collect(),
            reply_to: [0; BATCH],
            reply_count: 0,
        }
    }

    /// The datagram at `at`, who sent it, and where its answer may be written.
    pub fn parts(&mut self, at: usize) -> (&[u8], &Peer, &mut Vec<u8>) {
        (&self.bytes[at][..self.lengths[at]], &self.peers[at], &mut self.replies[self.reply_count])
    }

    /// What was written last is sent as the answer to the datagram at `at`.
    pub fn reply(&mut self, at: usize) {
        self.reply_to[self.reply_count] = at;
        self.reply_count += 1;
    }
}

impl Socket {
    /// Several may be bound to one address: the kernel spreads datagrams over them. Whoever binds must therefore have
    /// made sure by other means that the port is ours alone.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        // SAFETY: takes numbers only.
        let fd = unsafe { libc::socket(family, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and nobody else's.
        let socket = Self(unsafe { OwnedFd::from_raw_fd(fd) });
        socket.set(libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
        if address.is_ipv4() {
            socket.set(libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
        } else {
            // Both families by one socket, as with the listeners of TCP.
            socket.set(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, i32::from(!address.ip().is_unspecified()))?;
            socket.set(libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
        }
        let address = nix::sys::socket::SockaddrStorage::from(address);
        nix::sys::socket::bind(fd, &address)?;
        Ok(socket)
    }

    fn set(&self, level: i32, name: i32, value: i32) -> io::Result<()> {
        let size = size_of::<i32>() as libc::socklen_t;
        // SAFETY: the option's value is an int that lives through the call.
        let set =
            unsafe { libc::setsockopt(self.0.as_raw_fd(), level, name, (&raw const value).cast(), size) };
        if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Waits for a datagram and takes as many as are there. How many that were; 0 is possible.
    pub fn receive(&self, batch: &mut Batch) -> io::Result<usize> {
        let mut parts: [libc::iovec; BATCH] = std::array::from_fn(|at| libc::iovec {
            iov_base: batch.bytes[at].as_mut_ptr().cast(),
            iov_len: QUERY_BYTES_MAX,
        });
        let mut headers: [libc::mmsghdr; BATCH] = std::array::from_fn(|at| {
            let peer = &mut batch.peers[at];
            header(&mut parts[at], peer, size_of::<libc::sockaddr_storage>() as u32, CONTROL_BYTES)
        });
        // SAFETY: each header points to buffers of `batch` and `parts` of the sizes it names, none of which moves or
        // goes away before the call is over.
        let received = unsafe {
            libc::recvmmsg(
                self.0.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as u32,
                libc::MSG_WAITFORONE,
                std::ptr::null_mut(),
            )
        };
        let count = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        batch.reply_count = 0;
        for (at, header) in headers[..count].iter().enumerate() {
            // A question that did not fit is no question: it is cut to nothing, which nobody answers.
            let is_whole = header.msg_hdr.msg_flags & libc::MSG_TRUNC == 0;
            batch.lengths[at] = if is_whole { header.msg_len as usize } else { 0 };
            batch.peers[at].name_bytes = header.msg_hdr.msg_namelen;
            batch.peers[at].control_bytes = header.msg_hdr.msg_controllen;
            batch.peers[at].forget_interface();
        }
        Ok(count)
    }

    /// Sends the answers of the batch. One that cannot be sent is left out: its client asks again.
    pub fn send(&self, batch: &mut Batch) {
        let count = batch.reply_count;
        let mut parts: [libc::iovec; BATCH] = std::array::from_fn(|at| libc::iovec {
            iov_base: batch.replies[at].as_mut_ptr().cast(),
            iov_len: if at < count { batch.replies[at].len() } else { 0 },
        });
        let mut headers: [libc::mmsghdr; BATCH] = std::array::from_fn(|at| {
            let peer = &mut batch.peers[batch.reply_to[at]];
            let (name_bytes, control_bytes) = (peer.name_bytes, peer.control_bytes);
            header(&mut parts[at], peer, name_bytes, control_bytes)
        });
        let mut sent = 0;
        while sent < count {
            // SAFETY: as in `receive`; `sent` headers are skipped, `count` are filled in.
            let done = unsafe {
                libc::sendmmsg(self.0.as_raw_fd(), headers.as_mut_ptr().add(sent), (count - sent) as u32, 0)
            };
            sent += usize::try_from(done).unwrap_or(0).max(1);
        }
    }

    /// Sends one answer, later and from another thread.
    pub fn send_one(&self, peer: &Peer, bytes: &[u8]) {
        let mut peer = *peer;
        let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let (name_bytes, control_bytes) = (peer.name_bytes, peer.control_bytes);
        let message = header(&mut part, &mut peer, name_bytes, control_bytes);
        // SAFETY: the header points to values that live through the call; the kernel only reads the bytes.
        let sent = unsafe { libc::sendmsg(self.0.as_raw_fd(), &message.msg_hdr, 0) };
        if sent < 0 {
            tracing::debug!(error = %io::Error::last_os_error(), peer = %peer.ip(), "an answer was not sent");
        }
    }
}

fn header(
    part: &mut libc::iovec,
    peer: &mut Peer,
    name_bytes: libc::socklen_t,
    control_bytes: usize,
) -> libc::mmsghdr {
    // SAFETY: a header is numbers and pointers, for which all zeros are a value; what matters is set below.
    let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
    header.msg_hdr.msg_name = (&raw mut peer.name).cast();
    header.msg_hdr.msg_namelen = name_bytes;
    header.msg_hdr.msg_iov = part;
    header.msg_hdr.msg_iovlen = 1;
    header.msg_hdr.msg_control = (&raw mut peer.control).cast();
    header.msg_hdr.msg_controllen = control_bytes;
    header
}

impl Peer {
    /// The way back need not lead through the interface that the question came by, except for link-local addresses,
    /// which mean nothing without it.
    fn forget_interface(&mut self) {
        let data = size_of::<libc::cmsghdr>();
        if self.control_bytes < data {
            return;
        }
        // SAFETY: the control buffer is aligned and holds at least a header, as just checked.
        let kind = unsafe { *(&raw const self.control).cast::<libc::cmsghdr>() };
        let bytes = &mut self.control.0;
        match (kind.cmsg_level, kind.cmsg_type) {
            // struct in_pktinfo begins with the interface's number.
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => bytes[data..data + 4].fill(0),
            // struct in6_pktinfo ends with it.
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let is_link_local = bytes[data] == 0xfe && bytes[data + 1] & 0xc0 == 0x80;
                if !is_link_local {
                    bytes[data + 16..data + 20].fill(0);
                }
            }
            _ => self.control_bytes = 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    /// Asks at `to` and hears from there and nowhere else, which a connected socket makes sure of.
    fn echo(listen: &str, to: &[&str]) {
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut address: SocketAddr = listen.parse().unwrap();
        address.set_port(port);
        let server = Socket::bind(address).unwrap();
        let clients: Vec<UdpSocket> = to
            .iter()
            .map(|to| {
                let to: IpAddr = to.parse().unwrap();
                let any = if to.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
                let client = UdpSocket::bind(any).unwrap();
                client.connect((to, port)).unwrap();
                client.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
                client.send(to.to_string().as_bytes()).unwrap();
                client
            })
            .collect();
        let (mut batch, mut left) = (Batch::new(), to.len());
        while left > 0 {
            let count = server.receive(&mut batch).unwrap();
            for at in 0..count {
                let (bytes, peer, out) = batch.parts(at);
                assert!(peer.ip().is_loopback() && peer.can_be_answered(), "{}", peer.ip());
                out.clear();
                out.extend_from_slice(bytes);
                if at.is_multiple_of(2) {
                    batch.reply(at);
                } else {
                    server.send_one(&batch.peers[at], &batch.bytes[at][..batch.lengths[at]]);
                }
            }
            server.send(&mut batch);
            left -= count;
        }
        for (client, to) in clients.iter().zip(to) {
            let mut buffer = [0; 100];
            let length = client.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], to.as_bytes());
        }
    }

    #[test]
    fn answers_come_from_the_address_that_was_asked() {
        echo("0.0.0.0:0", &["127.0.0.1", "127.0.0.9", "127.1.2.3"]);
        if UdpSocket::bind("[::1]:0").is_ok() {
            echo("[::]:0", &["127.0.0.1", "::1", "127.0.0.77"]);
        }
    }

    #[test]
    fn a_question_that_is_too_long_is_cut_to_nothing() {
        let server = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let name: nix::sys::socket::SockaddrIn = nix::sys::socket::getsockname(server.0.as_raw_fd()).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(&[7; QUERY_BYTES_MAX + 1], ("127.0.0.1", name.port())).unwrap();
        let mut batch = Batch::new();
        assert_eq!(server.receive(&mut batch).unwrap(), 1);
        assert_eq!(batch.parts(0).0, b"");
    }
}
