//! What the balancer does right now, asked of HAProxy for whoever looks at the page.

use std::io;

use console::{BackEnd, BalancedServer, BalancerRun, BalancerStatus, FrontEnd};
use model::balancer::slot_name;

use super::Known;
use super::cli::Session;
use super::files::Files;
use super::report::{Row, Table, info};

pub async fn status(files: &Files, known: &Known) -> BalancerStatus {
    let mut status = BalancerStatus {
        run: BalancerRun::Idle,
        error: known.error.clone(),
        change: known.change.clone(),
        reloads: known.reloads,
        front_ends: Vec::new(),
        back_ends: Vec::new(),
        faults: known.faults.iter().map(|(app, told)| (app.clone(), told.clone())).collect(),
        configuration: known.configuration.clone(),
    };
    if !files.program().exists() {
        status.run = BalancerRun::Missing { program: files.program().display().to_string() };
    } else if !known.configuration.is_empty() {
        status.run = match figures(files, known, &mut status).await {
            Ok(run) => run,
            Err(error) => BalancerRun::Down { why: error.to_string() },
        };
    }
    status
}

async fn figures(files: &Files, known: &Known, status: &mut BalancerStatus) -> io::Result<BalancerRun> {
    let mut session = Session::open(&files.socket()).await?;
    let about = session.ask("show info").await?;
    let stat = session.ask("show stat").await?;
    let table = Table::read(&stat, ',');
    for row in table.rows() {
        match row.get("svname") {
            "FRONTEND" => status.front_ends.push(front_end(row, &known.configuration)),
            "BACKEND" => status.back_ends.extend(back_end(row, &table, known)),
            _ => {}
        }
    }
    Ok(BalancerRun::Running {
        version: info(&about, "Version").to_owned(),
        uptime_s: info(&about, "Uptime_sec").parse().unwrap_or(0),
    })
}

fn front_end(row: Row<'_, '_>, configuration: &str) -> FrontEnd {
    let name = row.get("pxname");
    let mut lines = configuration.lines().skip_while(|line| line.strip_prefix("frontend ") != Some(name));
    let bind = lines.nth(1).and_then(|line| line.trim().strip_prefix("bind ")?.split(' ').next());
    FrontEnd {
        name: name.to_owned(),
        bind: bind.unwrap_or("").to_owned(),
        sessions: row.number("scur"),
        rate: row.number("rate").max(row.number("req_rate")),
        total: row.number("stot").max(row.number("req_tot")),
        bytes_in: row.number("bin"),
        bytes_out: row.number("bout"),
    }
}

/// `None` for a back end that is not an app's.
fn back_end(row: Row<'_, '_>, table: &Table<'_>, known: &Known) -> Option<BackEnd> {
    let name = row.get("pxname");
    let app = known.apps.get(name)?.clone();
    let seats = known.seats.get(name)?;
    let taken = seats.iter().enumerate().filter_map(|(at, seat)| Some((slot_name(at), seat.as_ref()?)));
    let servers = taken.filter_map(|(slot, server)| {
        let row = table.rows().find(|row| row.get("pxname") == name && row.get("svname") == slot)?;
        Some(BalancedServer {
            task: server.task.clone(),
            address: std::net::SocketAddr::new(server.address, server.port).to_string(),
            state: row.get("status").to_owned(),
            sessions: row.number("scur"),
            rate: row.number("rate"),
            total: row.number("stot"),
        })
    });
    Some(BackEnd {
        name: name.to_owned(),
        app,
        sessions: row.number("scur"),
        rate: row.number("rate"),
        total: row.number("stot"),
        errors: row.number("econ") + row.number("eresp"),
        servers: servers.collect(),
    })
}
