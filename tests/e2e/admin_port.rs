//! A client of the admin port can neither use much memory nor make the probes fail.

use std::{io::Write, net::TcpStream};

use crate::support::{served_metrics::Served, world::World};

/// What the controller may grow by, in bytes: 64 connections, each with a head of at most 16 KiB, and what serves them.
const MOST: f64 = (16 << 20) as f64;

#[test]
fn heads_that_do_not_end_take_no_memory() {
    let world = World::new("admin-port", []);
    let controller = world.controller.as_ref().unwrap();
    let resident = || {
        let served = Served::read(&controller.admin("/metrics").1);
        served.value("process_resident_memory_bytes")
    };
    let before = resident();
    let of = |size| [b"GET /livez HTTP/1.1\r\nx: ".as_slice(), &vec![b'x'; size]].concat();
    // Those that are refused at once, and those that are waited for.
    let heads = [of(400_000), of(15_000)];
    let mut held = Vec::new();
    for count in 1..=400 {
        let head = &heads[count % 2];
        let mut stream = TcpStream::connect(controller.admin_address()).unwrap();
        // As far as the system takes it; what is not read stays with us.
        stream.set_nonblocking(true).unwrap();
        let mut left = head.as_slice();
        while let Ok(written) = stream.write(left) {
            left = left.get(written..).unwrap_or_default();
            if left.is_empty() {
                break;
            }
        }
        held.push(stream);
        if count % 50 == 0 {
            assert_eq!(controller.admin("/readyz").0, 200, "after {count}");
        }
    }
    let after = resident();
    println!("resident memory: {before} bytes, with 400 unfinished heads {after}");
    assert!(after - before < MOST, "{before} -> {after}");
}
