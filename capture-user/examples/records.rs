//! Prints raw probe records for a second: a debugging aid that shows what the probe writes, before
//! anything decodes it. Needs root. `records [seconds] [pid]`.

use capture_common::abi::{EnterFixed, ExitFixed, RecordView, Sections, kind};
use capture_user::live::{Collector, Item, LiveOptions};
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let seconds = args.next().map_or(Ok(1.0), |s| s.parse::<f64>())?;
    let pid = args.next().map(|s| s.parse::<u32>()).transpose()?;
    let started = Instant::now();
    let mut collector = Collector::open(&LiveOptions::default())?;
    eprintln!("attached after {:?}", started.elapsed());
    let mut show = |item: Item<'_>| match item {
        Item::Record(r) if pid.is_none_or(|p| p == r.view.header.pid) => {
            print_record(r.cpu, r.ts_ns, &r.view)
        }
        Item::Record(_) => {}
        Item::Loss(loss) => println!("{loss:?}"),
        Item::Stale(stale) => println!("{stale:?}"),
    };
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    while Instant::now() < end {
        let sleep = collector.drain(&mut show)?;
        std::thread::sleep(sleep);
    }
    collector.finish(&mut show)?;
    eprintln!("{:#?}", collector.stats());
    Ok(())
}

fn print_record(cpu: u32, ts_ns: u64, view: &RecordView<'_>) {
    let h = view.header;
    print!("{ts_ns} {cpu} {}/{} kind {} flags {} nr {}", h.pid, h.tid, h.kind, h.flags, h.nr as i16);
    let sections = match h.kind {
        kind::ENTER => view.split::<EnterFixed>().map(|(f, s)| {
            print!(" {:x?}", f.args);
            s
        }),
        kind::EXIT => view.split::<ExitFixed>().map(|(f, s)| {
            print!(" = {} {:x?}", f.ret, f.args);
            s
        }),
        kind::EXEC => view.split::<capture_common::abi::ExecFixed>().map(|(f, s)| {
            print!(" {f:?}");
            s
        }),
        _ => {
            print!(" {:x?}", view.body());
            Some(Sections::default())
        }
    };
    for section in sections.into_iter().flatten() {
        let text = section.data.escape_ascii().to_string();
        print!(
            " [tag {} arg {} flags {} len {}: {:.120}]",
            section.header.tag,
            section.header.arg as i8,
            section.header.flags,
            section.data.len(),
            text
        );
    }
    println!();
}
