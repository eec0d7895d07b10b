//! Which chisels run, with which arguments, and what is left of the words as the filter.

use super::args::RawArgs;
use super::error::CliError;
use super::plan::compile_filter;
use super::signals::StopFlag;
use chisels::lua::LuaOptions;
use chisels::{ArgValues, Chisel, Control, Registry};
use filter_lang::Library;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The chisels of a run.
#[derive(Debug, Default)]
pub struct ChiselPlan {
    /// Each `-c`, in order, its arguments taken.
    pub calls: Vec<Box<dyn Chisel>>,
    /// Where chisels are found.
    pub registry: Rc<Registry>,
    /// The filter's text, which chisels may ask for.
    pub filter: String,
    /// Text that the chisels printed so far.
    pub out: Vec<u8>,
}

/// Where chisels are found, and what those in Lua may do.
pub(super) fn registry(args: &RawArgs, stop: &StopFlag) -> Result<Registry, CliError> {
    let defaults = LuaOptions::default();
    let memory_bytes = match args.lua_memory.as_deref() {
        None => defaults.memory_bytes,
        Some(text) => {
            let mib = text.parse().ok().filter(|n: &usize| (1..=1 << 20).contains(n));
            mib.ok_or_else(|| CliError::value("--lua-memory", text, "a number of MiB, at least 1".into()))?
                << 20
        }
    };
    let time = match args.lua_time.as_deref() {
        None => defaults.time,
        Some(text) => {
            let seconds = text.parse().ok().filter(|s| (0.0..1e9).contains(s));
            let seconds: f64 =
                seconds.ok_or_else(|| CliError::value("--lua-time", text, "a number of seconds".into()))?;
            (seconds > 0.0).then(|| Duration::from_secs_f64(seconds))
        }
    };
    let lua = LuaOptions {
        unrestricted: args.lua_unsafe,
        memory_bytes,
        time,
        stop: stop.shared(),
        on_hang: Arc::new(|message| {
            // The main thread is lost; what it wrote to files is whole up to its last frame.
            let _ = writeln!(std::io::stderr(), "capture: {message}");
            std::process::exit(1);
        }),
    };
    Ok(Registry::new(args.chisel_dir.clone(), lua))
}

/// Gives each chisel its arguments; what is left of the words is the filter.
pub(super) fn chisels_and_filter(
    args: &RawArgs,
    library: &Library,
    stop: &StopFlag,
) -> Result<(ChiselPlan, String), CliError> {
    let mut plan = ChiselPlan { registry: Rc::new(registry(args, stop)?), ..ChiselPlan::default() };
    let mut control = Control::default();
    let taken = take_arguments(args, library, &mut plan, &mut control);
    plan.out = control.out;
    let taken = match taken {
        Ok(taken) => taken,
        Err(error) => {
            // A chisel may have said why it does not take an argument.
            std::io::stdout().lock().write_all(&plan.out).map_err(CliError::Stdout)?;
            return Err(error);
        }
    };
    let words: Vec<&str> =
        args.words.iter().zip(&taken).filter(|(_, t)| !**t).map(|(w, _)| w.as_str()).collect();
    plan.filter = words.join(" ");
    let text = plan.filter.clone();
    Ok((plan, text))
}

/// Makes the chisels; the answer tells which words they took.
fn take_arguments(
    args: &RawArgs,
    library: &Library,
    plan: &mut ChiselPlan,
    control: &mut Control,
) -> Result<Vec<bool>, CliError> {
    let mut taken = vec![false; args.words.len()];
    for (name, place) in args.chisel.iter().zip(&args.chisel_places) {
        let mut chisel = plan.registry.create(name)?;
        let word = place.next_word.filter(|&at| !taken[at]);
        let takes = match word {
            None => false,
            Some(at) => {
                let rest =
                    args.words[at..].iter().zip(&taken[at..]).filter(|(_, t)| !**t).map(|(w, _)| w.as_str());
                let rest: Vec<&str> = rest.collect();
                chisels::takes_word(chisel.meta(), || {
                    is_filter(args.words[at].as_str(), library) || is_filter(&rest.join(" "), library)
                })
            }
        };
        let mut values = ArgValues::default();
        if let (true, Some(at)) = (takes, word) {
            taken[at] = true;
            values = ArgValues::split(chisel.meta(), &args.words[at])?;
        }
        values.check(chisel.meta())?;
        values.assign(chisel.as_mut(), control)?;
        plan.calls.push(chisel);
    }
    Ok(taken)
}

fn is_filter(text: &str, library: &Library) -> bool {
    compile_filter(text, library).is_ok()
}
