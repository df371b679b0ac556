//! SASNet for C: opaque handles, status codes, pictures in the caller's memory. The comments are those of the header
//! (`include/sasnet.h`), which cbindgen writes; `docs/embedding.md` shows its use.
//!
//! No panic leaves a function: each is [`guarded`], and what it was doing is built anew the next time.

mod image;

pub use image::{Format, Image};

use image::Layout;
use sasnet::{Error, Filter as Method, Model, Options, Smoother, Weights};
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_double, c_int, c_void};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, TryLockError};

/// What a call returns.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is done.
    Ok = 0,
    /// An argument is wrong, or weights are no weights.
    Invalid = 1,
    /// There is no such device, or it failed.
    Device = 2,
    /// The device is gone: open it again.
    Lost = 3,
    /// The picture needs more memory than there is, or than was allowed.
    TooLarge = 4,
    /// The progress function said so. The output is as it was.
    Cancelled = 5,
    /// The filter is at work on another thread.
    Busy = 6,
    /// A fault of this library. The filter can be used again.
    Internal = 7,
}

/// A device: a GPU, or the CPU.
pub struct Device(sasnet::Device);

/// What smooths pictures, on a device. Of one thread at a time; several filters may run on several threads.
pub struct Filter(Mutex<State>);

/// Handles may go from thread to thread, and be used by several.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Device>();
    shared::<Filter>();
};

struct State {
    model: Model,
    finish: Option<Method>,
    device: sasnet::Device,
    options: Options,
    max_memory: Option<u64>,
    /// None until it is needed: a panic leaves none.
    smoother: Option<Smoother>,
}

/// Hears on the calling thread how much is done, from 0 to 1, every some tenths of a second or more often; 0 cancels, any
/// other number goes on. Must return (no C++ exception, no longjmp), and not use the filter.
pub type Progress = Option<unsafe extern "C" fn(user: *mut c_void, done: c_double) -> c_int>;

/// Why a call fails.
struct Failure {
    status: Status,
    message: String,
}

impl Failure {
    fn invalid(message: impl Into<String>) -> Failure {
        Failure { status: Status::Invalid, message: message.into() }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let status = match error.root() {
            Error::Gpu(_) | Error::Wrong(_) => Status::Device,
            Error::Lost(_) => Status::Lost,
            Error::TooLarge(_) => Status::TooLarge,
            Error::Cancelled => Status::Cancelled,
            _ => Status::Invalid,
        };
        Failure { status, message: error.to_string() }
    }
}

thread_local! {
    static MESSAGE: RefCell<CString> = RefCell::default();
    static DEVICES: RefCell<CString> = RefCell::default();
}

/// A text for C, which ends at its first 0.
fn text(text: &str) -> CString {
    CString::new(text.replace('\0', " ")).expect("it has no 0")
}

/// Runs a call; what goes wrong becomes its status, and the thread's message.
fn guarded(call: impl FnOnce() -> Result<(), Failure>) -> Status {
    let failure = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => return Status::Ok,
        Ok(Err(failure)) => failure,
        Err(panic) => {
            let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            let message = format!("a fault of the library: {}", said.unwrap_or("it panicked"));
            Failure { status: Status::Internal, message }
        }
    };
    // A thread that is about to end has no message any more.
    let _ = MESSAGE.try_with(|message| *message.borrow_mut() = text(&failure.message));
    failure.status
}

/// # Safety
/// `text` is NULL or a string.
unsafe fn str<'a>(text: *const c_char, what: &str) -> Result<Option<&'a str>, Failure> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map(Some).map_err(|_| Failure::invalid(format!("{what} is not UTF-8")))
}

/// # Safety
/// `place` is NULL or may be written.
unsafe fn give<T>(place: *mut *mut T, value: T) -> Result<(), Failure> {
    // SAFETY: the caller's.
    let place = unsafe { place.as_mut() }.ok_or_else(|| Failure::invalid("the place for the result is NULL"))?;
    *place = Box::into_raw(Box::new(value));
    Ok(())
}

/// # Safety
/// `handle` is NULL or of this library, and not yet freed.
unsafe fn free<T>(handle: *mut T) {
    if !handle.is_null() {
        // SAFETY: `give` made it of a box.
        let handle = unsafe { Box::from_raw(handle) };
        guarded(|| {
            drop(handle);
            Ok(())
        });
    }
}

/// # Safety
/// `device` is NULL or of `sasnet_device_new`.
unsafe fn device(device: *const Device) -> Result<sasnet::Device, Failure> {
    // SAFETY: the caller's.
    let device = unsafe { device.as_ref() };
    device.map(|device| device.0.clone()).ok_or_else(|| Failure::invalid("the device is NULL"))
}

/// Does something with a filter that no other thread has.
///
/// # Safety
/// `filter` is NULL or a filter of this library.
unsafe fn with(filter: *const Filter, call: impl FnOnce(&mut State) -> Result<(), Failure>) -> Status {
    guarded(|| {
        // SAFETY: the caller's.
        let filter = unsafe { filter.as_ref() }.ok_or_else(|| Failure::invalid("the filter is NULL"))?;
        let mut state = match filter.0.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(state)) => {
                filter.0.clear_poison();
                state.into_inner()
            }
            Err(TryLockError::WouldBlock) => {
                let message = "the filter is at work, on another thread or in this one's progress function".into();
                return Err(Failure { status: Status::Busy, message });
            }
        };
        call(&mut state)
    })
}

impl Filter {
    fn of(model: impl Into<Model>, device: sasnet::Device) -> Filter {
        let (options, finish, max_memory) = (Options::default(), None, None);
        Filter(Mutex::new(State { model: model.into(), finish, device, options, max_memory, smoother: None }))
    }
}

impl State {
    /// Takes the smoother out, or makes one: what panics leaves none.
    fn smoother(&mut self) -> Smoother {
        let new = || {
            let smoother = Smoother::new(self.model.clone(), self.device.clone());
            smoother.with_finish(self.finish.clone()).with_max_memory(self.max_memory)
        };
        self.smoother.take().unwrap_or_else(new)
    }
}

/// The version of this library as major * 65536 + minor * 256 + patch. The same major (0: and minor) has the same
/// functions, and perhaps more.
#[unsafe(no_mangle)]
pub extern "C" fn sasnet_version() -> u32 {
    let part = |text: &str| text.parse::<u32>().unwrap_or(0);
    part(env!("CARGO_PKG_VERSION_MAJOR")) << 16
        | part(env!("CARGO_PKG_VERSION_MINOR")) << 8
        | part(env!("CARGO_PKG_VERSION_PATCH"))
}

/// What went wrong in this thread's last call that failed, in UTF-8, with what to do; "" where none did. Valid until its
/// next call that fails.
#[unsafe(no_mangle)]
pub extern "C" fn sasnet_error_message() -> *const c_char {
    MESSAGE.try_with(|message| message.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

/// The devices of this machine, a line each, in UTF-8, the CPU left out. Valid until this thread's next call of it.
#[unsafe(no_mangle)]
pub extern "C" fn sasnet_device_list() -> *const c_char {
    let mut lines = String::new();
    guarded(|| {
        let adapters = sasnet::low_level::gpu::list_adapters();
        adapters.iter().for_each(|adapter| lines += &format!("{adapter}\n"));
        Ok(())
    });
    let kept = DEVICES.try_with(|devices| {
        *devices.borrow_mut() = text(&lines);
        devices.borrow().as_ptr()
    });
    kept.unwrap_or(c"".as_ptr())
}

/// Opens a device: "cpu", a number in sasnet_device_list (from 0), or a part of a line there; NULL = a real GPU, or the
/// CPU where there is none. The CPU's threads are as many as there are cores, or as the environment's RAYON_NUM_THREADS
/// says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sasnet_device_new(name: *const c_char, result: *mut *mut Device) -> Status {
    guarded(|| {
        // SAFETY: the header says what they must be.
        let name = unsafe { str(name, "the device's name") }?;
        // SAFETY: the same.
        unsafe { give(result, Device(sasnet::Device::open(name)?)) }
    })
}

/// Closes a device; NULL is fine. Filters keep it for themselves.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sasnet_device_free(device: *mut Device) {
    // SAFETY: the header says what it must be.
    unsafe { free(device) }
}

/// A filter by a network: the shipped one called so ("small" or "soft"; NULL = "small").
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sasnet_filter_new(
    on: *const Device,
    model: *const c_char,
    result: *mut *mut Filter,
) -> Status {
    guarded(|| {
        // SAFETY: the header says what they must be.
        let name = unsafe { str(model, "the model's name") }?.unwrap_or("small");
        let weights = Weights::model(name).ok_or_else(|| {
            let names = sasnet::low_level::weights::MODELS.map(|(name, _)| name).join(", ");
            Failure::invalid(format!("there is no model {name}; there are {names}"))
        })?;
        // SAFETY: the same.
        unsafe { give(result, Filter::of(weights, device(on)?)) }
    })
}

/// A filter by a network of your own: the bytes of a weights file (safetensors), which are not needed afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sasnet_filter_new_weights(
    on: *const Device,
    weights: *const c_void,
    size: usize,
    result: *mut *mut Filter,
) -> Status {
    guarded(|| {
        if weights.is_null() {
            return Err(Failure::invalid("the weights are NULL"));
        }
        // SAFETY: the header says that there are so many.
        let bytes = unsafe { std::slice::from_raw_parts(weights.cast::<u8>(), size) };
        // SAFETY: the header says what they must be.
        unsafe { give(result, Filter::of(Weights::parse(bytes).map_err(Failure::invalid)?, device(on)?)) }
    })
}

/// A filter by a classical method: "gf", "l0", "rtv", "rgf", "sdf", "ils" (docs/filters.md).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sasnet_filter_new_method(
    on: *const Device,
    method: *const c_char,
    result: *mut *mut Filter,
) -> Status {
    guarded(|| {
        // SAFETY: the header says what they must be.
        let name = unsafe { str(method, "the method's name") }?.unwrap_or_default();
        // SAFETY: the same.
        unsafe { give(result, Filter::of(Method::new(name)?, device(on)?)) }
    })
}

/// Frees a filter; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sasnet_filter_free(filter: *mut Filter) {
    // SAFETY: the header says what it must be.
    unsafe { free(filter) }
}

/// Sets a parameter of a classical method, as "sigma_s" to "2".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sasnet_filter_set(filter: *mut Filter, name: *const c_char, value: *const c_char) -> Status {
    let set = |state: &mut State| {
        // SAFETY: the header says what they must be.
        let [name, value] =
            unsafe { [str(name, "the name")?, str(value, "the value")?] }.map(Option::unwrap_or_default);
        let Model::Filter(method) = &state.model else {
            return Err(Failure::invalid(format!("a network has no parameter {name}; those are of classical methods")));
        };
        state.model = method.clone().with(name, value)?.into();
        state.smoother = None;
        Ok(())
    };
    // SAFETY: the header says what it must be.
    unsafe { with(filter, set) }
}

/// Sets how much is smoothed: 0 = the picture as it is, 1 (the default) = the filter's result, between them a blend.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sasnet_filter_set_amount(filter: *mut Filter, amount: c_double) -> Status {
    // SAFETY: the header says what it must be.
    unsafe { set_option(filter, |options| options.with_amount(amount as f32)) }
}

/// Sets how large the textures are that go: 1 (the default) = what the network knows, to 8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sasnet_filter_set_texture_size(filter: *mut Filter, size: c_double) -> Status {
    // SAFETY: the header says what it must be.
    unsafe { set_option(filter, |options| options.with_texture_size(size as f32)) }
}

/// Sets whether the mean of eight flips and rotations is taken (not 0): better, eight times as slow. Networks only.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sasnet_filter_set_ensemble(filter: *mut Filter, ensemble: c_int) -> Status {
    // SAFETY: the header says what it must be.
    unsafe { set_option(filter, |options| options.with_ensemble(ensemble != 0)) }
}

/// Sets the noise that stands in the texture's place: its scale (the default: what the weights were trained with, 0 for
/// the shipped ones) and seed. Networks that were trained with noise only.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sasnet_filter_set_noise(filter: *mut Filter, scale: c_double, seed: u64) -> Status {
    // SAFETY: the header says what it must be.
    unsafe { set_option(filter, |options| options.with_noise(scale as f32).with_seed(seed)) }
}

/// Smooths each result once more by a classical method, as "gf,r=2,eps=0.0003" (docs/filters.md), which takes the faint
/// unevenness away that a network leaves; "" = the one that suits the shipped networks, NULL (the default) = none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sasnet_filter_set_finish(filter: *mut Filter, method: *const c_char) -> Status {
    let set = |state: &mut State| {
        // SAFETY: the header says what it must be.
        state.finish = match unsafe { str(method, "the method") }? {
            None => None,
            Some("") => Some(Method::finish()),
            Some(method) => Some(method.parse()?),
        };
        state.smoother = None;
        Ok(())
    };
    // SAFETY: the header says what it must be.
    unsafe { with(filter, set) }
}

/// # Safety
/// As [`with`].
unsafe fn set_option(filter: *const Filter, set: impl FnOnce(Options) -> Options) -> Status {
    // SAFETY: the caller's. Values are checked when they are used.
    unsafe {
        with(filter, |state| {
            state.options = set(std::mem::take(&mut state.options));
            Ok(())
        })
    }
}

/// Lets the filter take no more than so many bytes of the device's memory; 0 (the default) = what there is. On the CPU
/// that is beside 32 bytes a pixel, 44 with a finish. A picture for which that is too little goes through in slabs, with
/// the same result bit for bit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sasnet_filter_set_max_memory(filter: *mut Filter, bytes: u64) -> Status {
    let set = |state: &mut State| {
        state.max_memory = (bytes > 0).then_some(bytes);
        state.smoother = None;
        Ok(())
    };
    // SAFETY: the header says what it must be.
    unsafe { with(filter, set) }
}

/// Says how many bytes of the device's memory a picture of this size takes, within what is allowed; allocates nothing.
/// SASNET_STATUS_TOO_LARGE where it does not fit, with the largest size that does in the message.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sasnet_filter_estimate(
    filter: *mut Filter,
    width: u32,
    height: u32,
    bytes: *mut u64,
) -> Status {
    let estimate = |state: &mut State| {
        // SAFETY: the header says what it must be.
        let bytes = unsafe { bytes.as_mut() }.ok_or_else(|| Failure::invalid("bytes is NULL"))?;
        let smoother = state.smoother();
        let estimate = smoother.estimate(height as usize, width as usize);
        state.smoother = Some(smoother);
        *bytes = estimate?;
        Ok(())
    };
    // SAFETY: the header says what it must be.
    unsafe { with(filter, estimate) }
}

/// Smooths a picture into another of the same size: of any format each, and in memory that may be the same or overlap.
/// Returns when the result is there; whatever fails, the output is as it was. Values are clipped to 0 .. 1. Alpha goes over
/// where both have it, and is opaque where the output alone does.
///
/// The first picture of a size takes longer: memory is allocated, and on a GPU kernels are compiled (1 to 4 s once a
/// device, progress and cancelling included).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sasnet_filter_run(
    filter: *mut Filter,
    input: *const Image,
    output: *const Image,
    progress: Progress,
    user: *mut c_void,
) -> Status {
    let run = |state: &mut State| {
        // SAFETY: the header says what they must be.
        let [input, output] = unsafe { [Image::read(input)?, Image::read(output)?] };
        let (from, to) = (Layout::of(&input)?, Layout::of(&output)?);
        if input.size() != output.size() {
            let ([w, h], [ow, oh]) = (input.size(), output.size());
            return Err(Failure::invalid(format!("the input is {w}x{h}, the output {ow}x{oh}; give one size")));
        }
        // SAFETY: the caller says that it may be read.
        let (x, alpha) = unsafe { from.get() };
        let mut smoother = state.smoother();
        let mut observer = |event: &sasnet::Progress| match (progress, event) {
            // SAFETY: the caller's function, with the caller's pointer.
            (Some(progress), sasnet::Progress::Smoothing { part }) if unsafe { progress(user, *part) } == 0 => {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        };
        let result = smoother.smooth_observed(&x, &state.options, &mut observer);
        state.smoother = Some(smoother);
        // SAFETY: the caller says that it may be written.
        unsafe { to.put(&result?, alpha.as_deref()) };
        Ok(())
    };
    // SAFETY: the header says what it must be.
    unsafe { with(filter, run) }
}
