//! What a person is told at the end.

use std::fmt::Write as _;

mod access;
mod canary;

use crate::{
    access::Access,
    calls::{Call, Denial, Speed},
    canary::Canary,
    control::Control,
    link::Seen,
};

/// Everything that was found out.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) control: Control,
    pub(crate) calls: Vec<Call>,
    pub(crate) access: Access,
    pub(crate) canary: Canary,
    pub(crate) denial: Denial,
    /// Packets without the mesh, and those of them in which one of the texts could be read.
    pub(crate) before: (usize, usize),
    pub(crate) seen: Seen,
    pub(crate) speeds: Vec<Speed>,
    pub(crate) crossed_bytes: u64,
    /// How many texts were looked for.
    pub(crate) texts: usize,
}

impl Told {
    /// The account.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, to: &mut String) -> std::fmt::Result {
        let Control {
            resources,
            proxies,
            certificates,
        } = &self.control;
        writeln!(
            to,
            "\nWHAT THE CONTROLLER DID (from its own pages)\n  it read   the manifests and told the mesh of {resources}\n  \
             by xDS    {}, each with all of it\n  as a CA   {certificates} certificates were signed for them",
            proxies.join(" and ")
        )?;
        writeln!(
            to,
            "\nWHO CALLED WHOM (from the access logs of both ztunnels, which agree)"
        )?;
        for call in &self.calls {
            write_call(to, call)?;
        }
        access::write(to, &self.access)?;
        canary::write(to, &self.canary)?;
        writeln!(to, "\nWHAT WAS ON THE WIRE BETWEEN THE NODES (tcpdump)")?;
        let (packets, readable) = self.before;
        writeln!(
            to,
            "  without the mesh  {packets} packets, {readable} of them with text that anyone could read"
        )?;
        let Seen {
            packets,
            with_bytes,
            tunnels,
        } = self.seen;
        writeln!(
            to,
            "  with the mesh     {packets} packets, all of them TCP on port 15008, in {tunnels} connections that begin with a \
             TLS handshake;\n                    {} texts that were sent were looked for in {with_bytes} payloads: not found",
            self.texts
        )?;
        writeln!(
            to,
            "  during iperf3     {} crossed the link; packets of TCP or UDP outside of port 15008: none",
            bytes(self.crossed_bytes)
        )?;
        self.write_denial(to)?;
        writeln!(
            to,
            "\nBYTES PER SECOND (iperf3, one stream; `make bench` compares with raw TCP)"
        )?;
        for Speed { what, bandwidth } in &self.speeds {
            let per_second = bandwidth.bits_per_second / 8e6;
            writeln!(
                to,
                "  {what:<42} {per_second:>6.0} MB/s ({:.2} Gbit/s), {} in all",
                bandwidth.bits_per_second / 1e9,
                bytes(bandwidth.bytes)
            )?;
        }
        Ok(())
    }

    fn write_denial(&self, to: &mut String) -> std::fmt::Result {
        let Denial {
            asked,
            said,
            records: (outbound, inbound),
        } = &self.denial;
        writeln!(to, "\nWHO WAS DENIED, AND WHY")?;
        writeln!(to, "  mariadb   intruder (node1) -> db (node2)   {asked}")?;
        writeln!(
            to,
            "  it saw    {}",
            said.lines().last().unwrap_or_default()
        )?;
        writeln!(
            to,
            "  policy    default/only-shop allows cluster.local/ns/default/sa/shop to reach db, and nobody else"
        )?;
        writeln!(
            to,
            "  it was    {}, by its certificate",
            inbound.get("src.identity")
        )?;
        writeln!(to, "  ztunnel   of node2: {}", inbound.get("error"))?;
        writeln!(to, "            of node1: {}", outbound.get("error"))
    }
}

fn write_call(to: &mut String, call: &Call) -> std::fmt::Result {
    let Call {
        program,
        asked,
        said,
        server_saw,
        nodes,
        records: (outbound, inbound),
    } = call;
    let (near, far) = (nodes.0 + 1, nodes.1 + 1);
    let (from, at) = (outbound.get("src.workload"), inbound.get("dst.workload"));
    writeln!(
        to,
        "\n  {program:<9} {from} (node{near}) -> {at} (node{far})   {asked}"
    )?;
    writeln!(to, "  answer    {said}")?;
    writeln!(
        to,
        "  identity  {} -> {}",
        inbound.get("src.identity"),
        outbound.get("dst.identity")
    )?;
    writeln!(
        to,
        "  path      {} -> ztunnel of node{near} == HBONE {} ==> ztunnel of node{far} -> {}",
        outbound.get("src.addr"),
        outbound.get("dst.addr"),
        inbound.get("dst.hbone_addr")
    )?;
    if let Some(server_saw) = server_saw {
        writeln!(to, "  seen      {server_saw}")?;
    }
    writeln!(
        to,
        "  bytes     {} to the server, {} back, in {}",
        inbound.get("bytes_recv"),
        inbound.get("bytes_sent"),
        outbound.get("duration")
    )
}

/// A count of bytes in the unit that a person would choose.
fn bytes(count: u64) -> String {
    // Three digits are shown: what a f64 loses is not among them.
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let count_f = count as f64;
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} kB", count_f / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", count_f / 1e6),
        1_000_000_000.. => format!("{:.2} GB", count_f / 1e9),
    }
}
