//! The suite of single nodes: Weir beside the same relay on Node.

use anyhow::Context as _;

use crate::args::{Args, Load};
use crate::figures::{Figures, Taken};
use crate::outcome::Outcome;
use crate::peer::{self, Peer};
use crate::servers::Servers;
use crate::stream::Begin;
use crate::{idle, machine, report, stream};

/// Runs the suite.
pub(crate) async fn run(args: &Args) -> anyhow::Result<Outcome> {
    let peers: Vec<Peer> = args.peers()?;
    let mut figures = Figures::default();
    for load in args.loads::<Load>()? {
        for round in 0..args.rounds_of(load) {
            // Weir, Node, Node, Weir: what the machine does meanwhile falls on both.
            let mut peers = peers.clone();
            if round % 2 == 1 {
                peers.reverse();
            }
            for peer in peers {
                eprintln!("{load}, on {peer}");
                let taken = measure(args, load, peer).await;
                figures
                    .of(peer)
                    .add(taken.with_context(|| format!("{load}, on {peer}"))?);
            }
        }
    }
    let packages: &[&str] = if peers.contains(&Peer::Node) {
        &["socket.io", "ws"]
    } else {
        &[]
    };
    Ok(Outcome {
        table: report::table(args, &figures, &machine::line(packages)?),
        misses: report::misses(&figures),
    })
}

async fn measure(args: &Args, load: Load, peer: Peer) -> anyhow::Result<Taken> {
    let command = match peer {
        Peer::Weir => peer::weir(args)?,
        Peer::Node => {
            peer::install().await?;
            peer::node()
        }
    };
    let servers = Servers::alone(command).await?;
    let taken = drive(args, load, &servers).await;
    if taken.is_err() {
        eprint!("{}", servers.log());
    }
    servers.kill().await?;
    taken
}

async fn drive(args: &Args, load: Load, servers: &Servers) -> anyhow::Result<Taken> {
    let timing = args.timing();
    let begin = Begin::AtOnce;
    Ok(match load {
        Load::FanOut => Taken::FanOut(stream::run(&stream::FAN_OUT, timing, servers, begin).await?),
        Load::Rooms => Taken::Rooms(stream::run(&stream::ROOMS, timing, servers, begin).await?),
        Load::Idle => {
            let (connections, window) = (args.idle_connections(), args.idle_window());
            Taken::Idle(idle::run(connections, window, timing, servers).await?)
        }
    })
}
