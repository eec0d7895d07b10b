//! [`TypeInformation`]: the kernel's description of its own structures, read at the start.

use super::{btf::Btf, error::LiveError, features, load::ProbeOptions, offsets, parts::Part};
use aya::EbpfLoader;

/// What it says.
pub(super) struct TypeInformation {
    /// As much of it as aya needs for loading programs.
    pub(super) kernel_btf: aya::Btf,
    pub(super) loader: EbpfLoader<'static>,
    pub(super) parts: Vec<Part>,
    pub(super) resolved: offsets::Resolved,
}

impl TypeInformation {
    /// Reads it, beside aya's loader.
    ///
    /// # Errors
    /// What is missing.
    pub(super) fn read(options: &ProbeOptions) -> Result<Self, LiveError> {
        features::check()?;
        std::thread::scope(|scope| {
            let loader = scope.spawn(new_loader);
            let bytes = features::type_bytes()?;
            let btf = Btf::parse(&bytes)?;
            features::check_tracepoints(&btf)?;
            let (parts, resolved) = (present_parts(options, &btf)?, offsets::resolve(&btf)?);
            let what = |e| format!("aya cannot read the kernel's type information: {e}");
            let kernel_btf = aya::Btf::parse(&btf.outline(), aya::Endianness::default())
                .map_err(|e| LiveError::BadObject { what: what(e) })?;
            let loader = loader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok(Self { kernel_btf, loader, parts, resolved })
        })
    }
}

/// A loader for the probe. On being made it reads all type information for itself, tens of milliseconds; it
/// forgets that here, since the object has no relocations of fields.
fn new_loader() -> EbpfLoader<'static> {
    let mut loader = EbpfLoader::new();
    loader.btf(None);
    loader
}

/// The parts that this kernel can have: one without cgroups has none to move to.
fn present_parts(options: &ProbeOptions, btf: &Btf<'_>) -> Result<Vec<Part>, LiveError> {
    let (_, name) = Part::Attach.names();
    let can_attach = btf.typedef_id(&format!("btf_trace_{name}")).is_some();
    if options.needs().containers && !can_attach {
        return Err(LiveError::NoTracepoint { name, release: features::kernel_release() });
    }
    Ok(options.all_parts().filter(|part| can_attach || *part != Part::Attach).collect())
}
