"""SASNet on numpy arrays, through the C library.

    import sasnet
    smooth = sasnet.smooth(array)                          # (H, W, 3 or 4) of uint8, uint16, float16 or float32
    smoother = sasnet.Smoother(method="rgf", sigma_s=2)    # keeps what it built for pictures of a size
    smooth = smoother(array, progress=lambda done: done < 0.5 or keep_going())

One file: copy it beside your program. It takes the library that the environment's SASNET_LIBRARY names, else
libsasnet_c beside itself, in target/release of the repository that it lies in, or where the system finds it
(bindings/c/install.sh). Needs numpy. Values are the codes of an sRGB picture, 0 to 255, 65535 or 1.0, not linear light;
a fourth channel is alpha, which is kept.
"""

import ctypes
import ctypes.util
import os
import pathlib
import threading

import numpy

__all__ = ["Cancelled", "SasnetError", "Smoother", "devices", "smooth"]


class SasnetError(Exception):
    """What the library says; `status` is its SasnetStatus."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Cancelled(SasnetError):
    """The progress function said so."""


# SasnetStatus: OK, CANCELLED. SasnetFormat: of a type of 3 channels, of 4.
_OK, _CANCELLED = 0, 5
_FORMATS = {"uint8": (1, 2), "uint16": (5, 6), "float16": (7, 8), "float32": (9, 10)}


class _Image(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("data", ctypes.c_void_p),
        ("format", ctypes.c_uint32),
        ("width", ctypes.c_uint32),
        ("height", ctypes.c_uint32),
        ("pixel_stride", ctypes.c_size_t),
        ("row_stride", ctypes.c_ssize_t),
        ("plane_stride", ctypes.c_ssize_t),
    ]


_Progress = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_double)
_POINTER, _TEXT, _RESULT = ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p)
_FUNCTIONS = {
    "sasnet_error_message": (_TEXT, []),
    "sasnet_device_list": (_TEXT, []),
    "sasnet_device_new": (ctypes.c_int, [_TEXT, _RESULT]),
    "sasnet_device_free": (None, [_POINTER]),
    "sasnet_filter_new": (ctypes.c_int, [_POINTER, _TEXT, _RESULT]),
    "sasnet_filter_new_weights": (ctypes.c_int, [_POINTER, _TEXT, ctypes.c_size_t, _RESULT]),
    "sasnet_filter_new_method": (ctypes.c_int, [_POINTER, _TEXT, _RESULT]),
    "sasnet_filter_free": (None, [_POINTER]),
    "sasnet_filter_set": (ctypes.c_int, [_POINTER, _TEXT, _TEXT]),
    "sasnet_filter_set_amount": (ctypes.c_int, [_POINTER, ctypes.c_double]),
    "sasnet_filter_set_texture_size": (ctypes.c_int, [_POINTER, ctypes.c_double]),
    "sasnet_filter_set_ensemble": (ctypes.c_int, [_POINTER, ctypes.c_int]),
    "sasnet_filter_set_finish": (ctypes.c_int, [_POINTER, _TEXT]),
    "sasnet_filter_set_noise": (ctypes.c_int, [_POINTER, ctypes.c_double, ctypes.c_uint64]),
    "sasnet_filter_set_max_memory": (ctypes.c_int, [_POINTER, ctypes.c_uint64]),
    "sasnet_filter_estimate": (
        ctypes.c_int,
        [_POINTER, ctypes.c_uint32, ctypes.c_uint32, ctypes.POINTER(ctypes.c_uint64)],
    ),
    "sasnet_filter_run": (
        ctypes.c_int,
        [_POINTER, ctypes.POINTER(_Image), ctypes.POINTER(_Image), _Progress, _POINTER],
    ),
}


def _candidates():
    names = ["libsasnet_c.so", "libsasnet_c.dylib", "sasnet_c.dll"]
    here = pathlib.Path(__file__).resolve().parent
    for folder in [here, here.parent.parent / "target" / "release"]:
        yield from (str(folder / name) for name in names if (folder / name).exists())
    found = ctypes.util.find_library("sasnet_c")
    if found:
        yield found


def _load():
    path = os.environ.get("SASNET_LIBRARY") or next(_candidates(), None)
    if path is None:
        raise ImportError(
            "libsasnet_c is not found: build it (cargo build --release -p sasnet-c), and put it beside sasnet.py or name "
            "it in SASNET_LIBRARY"
        )
    library = ctypes.CDLL(path)
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


_library = _load()


def _check(status):
    if status != _OK:
        message = _library.sasnet_error_message().decode()
        raise (Cancelled if status == _CANCELLED else SasnetError)(status, message)


def devices():
    """The GPUs of this machine, of which a number or a part of a name is a `device`; "cpu" is one, too."""
    return _library.sasnet_device_list().decode().splitlines()


class Smoother:
    """A network or a classical filter on a device, for pictures of any size.

    device: "cpu", or a number in `devices()` or a part of a name; None = a real GPU, or the CPU where there is none.
    model: "small" or "soft". weights: a file of your own instead. method: a classical filter instead, by its name, with
    parameters of it as further arguments (docs/filters.md). amount, texture_size, ensemble, noise, seed, max_memory
    (bytes): as the options of `sasnet smooth`. finish: True, or a method as "gf,r=2,eps=0.0003", for its --finish.
    """

    def __init__(self, model=None, *, device=None, weights=None, method=None, amount=1.0, texture_size=1.0,
                 ensemble=False, finish=None, noise=None, seed=0, max_memory=None, **parameters):  # fmt: skip
        if (model is not None) + (weights is not None) + (method is not None) > 1:
            raise ValueError("give one of model, weights, method")
        self._filter, self._lock = ctypes.c_void_p(), threading.Lock()
        opened, filter = ctypes.c_void_p(), self._filter
        _check(_library.sasnet_device_new(None if device is None else str(device).encode(), ctypes.byref(opened)))
        try:
            if method is not None:
                _check(_library.sasnet_filter_new_method(opened, method.encode(), ctypes.byref(filter)))
            elif weights is not None:
                contents = pathlib.Path(weights).read_bytes()
                _check(_library.sasnet_filter_new_weights(opened, contents, len(contents), ctypes.byref(filter)))
            else:
                _check(_library.sasnet_filter_new(opened, (model or "small").encode(), ctypes.byref(filter)))
        finally:
            _library.sasnet_device_free(opened)
        for name, value in parameters.items():
            _check(_library.sasnet_filter_set(filter, name.encode(), str(value).encode()))
        _check(_library.sasnet_filter_set_amount(filter, amount))
        _check(_library.sasnet_filter_set_texture_size(filter, texture_size))
        _check(_library.sasnet_filter_set_ensemble(filter, ensemble))
        if finish:
            _check(_library.sasnet_filter_set_finish(filter, b"" if finish is True else finish.encode()))
        _check(_library.sasnet_filter_set_max_memory(filter, max_memory or 0))
        if noise is not None:
            _check(_library.sasnet_filter_set_noise(filter, noise, seed))

    def __del__(self):
        if getattr(self, "_filter", None):
            _library.sasnet_filter_free(self._filter)

    def estimate(self, width, height):
        """Bytes of the device's memory that a picture of this size takes."""
        result = ctypes.c_uint64()
        _check(_library.sasnet_filter_estimate(self._filter, width, height, ctypes.byref(result)))
        return result.value

    def __call__(self, array, out=None, progress=None):
        """The smoothed picture: a new array, or `out`, which may be `array` itself. Any strides are fine.

        progress(done) hears how much is done, from 0 to 1, and ends it (`Cancelled`) where it returns False or raises, as
        Ctrl-C does. Other threads of Python run meanwhile.
        """
        array = numpy.asarray(array)
        if array.ndim == 3 and (0 in array.strides or array.strides[1] < 0):  # broadcast, or mirrored
            array = numpy.ascontiguousarray(array)
        image = _image(array)
        out = numpy.empty(array.shape, array.dtype) if out is None else out
        if out.shape != array.shape or not out.flags.writeable:
            raise ValueError(f"out is of shape {out.shape}, writeable: {out.flags.writeable}; it must be {array.shape}")
        raised = []

        def hear(_, done):
            try:
                return progress is None or progress(done) is not False
            except BaseException as error:  # goes on when the library has returned
                raised.append(error)
                return False

        with self._lock:
            status = _library.sasnet_filter_run(self._filter, image, _image(out), _Progress(hear), None)
        if raised:
            raise raised[0]
        _check(status)
        return out


def _image(array):
    """An array as the library takes it, where it lies."""
    if array.ndim != 3 or array.shape[2] not in (3, 4) or array.dtype.name not in _FORMATS:
        raise ValueError(
            f"an array of shape {array.shape} and type {array.dtype}; give (height, width, 3 or 4) of uint8, uint16, "
            "float16 or float32"
        )
    if not array.dtype.isnative:
        raise ValueError("values in the other byte order; array.astype(array.dtype.newbyteorder('=')) turns them")
    height, width, channels = array.shape
    row, pixel, plane = array.strides
    if pixel < 0 or 0 in array.strides:
        raise ValueError(f"strides of {array.strides} bytes; give an array whose columns are neither mirrored nor the same")
    return _Image(ctypes.sizeof(_Image), array.ctypes.data, _FORMATS[array.dtype.name][channels - 3], width, height,
                  pixel, row, plane)  # fmt: skip


_smoothers, _smoothers_lock = {}, threading.Lock()


def smooth(array, progress=None, **options):
    """Smooths a picture; options are those of `Smoother`, which is kept for the next one with the same."""
    key = tuple(sorted(options.items()))
    with _smoothers_lock:
        if key not in _smoothers:
            if len(_smoothers) >= 4:
                _smoothers.pop(next(iter(_smoothers)))
            _smoothers[key] = Smoother(**options)
        smoother = _smoothers[key]
    return smoother(array, progress=progress)
