"""sasnet.py beside the command: python3 bindings/python/test_sasnet.py DEVICE SASNET, with SASNET_LIBRARY set."""

import pathlib
import subprocess
import sys
import tempfile
import threading
import unittest

import numpy

import sasnet

DEVICE, *COMMAND = sys.argv[1:]


def picture(height, width, dtype):
    """Edges and texture, in codes of 8 bits or their 257-fold."""
    y, x, c = numpy.mgrid[:height, :width, :3]
    codes = numpy.where((x + 2 * y) % 17 < 8, 60, 180) + 15 * c + (7 * x * x + 13 * y + 5 * x * y) % 31
    return codes.astype(dtype) * dtype(257 if dtype == numpy.uint16 else 1)


def command(array, *options):
    """What `sasnet smooth` makes of it."""
    most = 65535 if array.dtype == numpy.uint16 else 255
    height, width, _ = array.shape
    with tempfile.TemporaryDirectory() as folder:
        a, b = pathlib.Path(folder) / "a.ppm", pathlib.Path(folder) / "b.ppm"
        a.write_bytes(b"P6\n%d %d\n%d\n" % (width, height, most) + array.astype(array.dtype.newbyteorder(">")).tobytes())
        subprocess.run([*COMMAND, "smooth", a, "-o", b, "-q", "--adapter", DEVICE, *options], check=True)
        values = b.read_bytes()[-array.nbytes :]
    return numpy.frombuffer(values, array.dtype.newbyteorder(">")).reshape(array.shape).astype(array.dtype)


class Smoothing(unittest.TestCase):
    def test_integers_are_those_of_the_command(self):
        for dtype in numpy.uint8, numpy.uint16:
            for options, arguments in [
                ({}, []),
                ({"model": "soft", "amount": 0.5}, ["--model", "soft", "--amount", "0.5"]),
                ({"method": "rgf", "sigma_s": 2}, ["--method", "rgf", "--set", "sigma_s=2"]),
            ]:
                array = picture(21, 37, dtype)
                smooth = sasnet.smooth(array, device=DEVICE, **options)
                self.assertGreater(numpy.abs(smooth.astype(int) - array).mean(), 1)
                numpy.testing.assert_array_equal(smooth, command(array, *arguments))

    def test_floats_are_the_integers_before_rounding(self):
        array = picture(21, 37, numpy.uint8)
        smooth = sasnet.smooth(array, device=DEVICE)
        floats = sasnet.smooth(array.astype(numpy.float32) / 255, device=DEVICE)
        self.assertEqual(floats.dtype, numpy.float32)
        numpy.testing.assert_array_equal(numpy.floor(floats * 255 + 0.5).astype(numpy.uint8), smooth)

    def test_any_array_that_numpy_has(self):
        array = picture(24, 30, numpy.uint8)
        smoother = sasnet.Smoother(device=DEVICE)
        expected = smoother(array)
        padded = numpy.zeros((24, 40, 5), numpy.uint8)
        padded[:, 3:33, 1:4] = array
        numpy.testing.assert_array_equal(smoother(padded[:, 3:33, 1:4]), expected)
        planes = numpy.ascontiguousarray(array.transpose(2, 0, 1)).transpose(1, 2, 0)
        numpy.testing.assert_array_equal(smoother(planes), expected)
        upside_down = numpy.ascontiguousarray(array[::-1])[::-1]
        numpy.testing.assert_array_equal(smoother(upside_down), expected)
        mirrored = numpy.ascontiguousarray(array[:, ::-1])[:, ::-1]
        numpy.testing.assert_array_equal(smoother(mirrored), expected)
        grey = numpy.broadcast_to(array[..., :1], array.shape)
        numpy.testing.assert_array_equal(smoother(grey), smoother(grey.copy()))
        alpha = numpy.dstack([array, numpy.arange(24 * 30).reshape(24, 30).astype(numpy.uint8)])
        with_alpha = smoother(alpha)
        numpy.testing.assert_array_equal(with_alpha[..., :3], expected)
        numpy.testing.assert_array_equal(with_alpha[..., 3], alpha[..., 3])
        self.assertIs(smoother(array, out=array), array)
        numpy.testing.assert_array_equal(array, expected)

    def test_progress_and_cancelling(self):
        array = picture(40, 50, numpy.uint8)
        smoother = sasnet.Smoother(device=DEVICE, ensemble=True)
        heard = []
        smoother(array, progress=heard.append)  # None goes on
        self.assertEqual((heard[0], heard[-1], heard), (0, 1, sorted(heard)))
        out = numpy.zeros_like(array)
        with self.assertRaisesRegex(sasnet.Cancelled, "stopped"):
            smoother(array, out, progress=lambda done: done < 0.4)
        with self.assertRaises(KeyboardInterrupt):
            smoother(array, out, progress=lambda done: exec("raise KeyboardInterrupt"))
        self.assertFalse(out.any())
        results = []
        threads = [threading.Thread(target=lambda: results.append(smoother(array))) for _ in range(2)]
        [thread.start() for thread in threads], [thread.join() for thread in threads]
        numpy.testing.assert_array_equal(*results)

    def test_finish(self):
        array = picture(40, 50, numpy.float32)
        network = sasnet.Smoother(device=DEVICE)(array)
        for finish, values in [(True, {"lambda": 0.0005, "sigma": 0.5}), ("rtv,lambda=0.01", {"lambda": 0.01})]:
            finished = sasnet.Smoother(device=DEVICE, finish=finish)(array)
            numpy.testing.assert_array_equal(finished, sasnet.Smoother(device=DEVICE, method="rtv", **values)(network))
            self.assertTrue((finished != network).any())
        numpy.testing.assert_array_equal(sasnet.smooth(array, device=DEVICE, finish=False), network)
        with self.assertRaisesRegex(sasnet.SasnetError, "no method gauss"):
            sasnet.Smoother(device=DEVICE, finish="gauss")

    def test_memory(self):
        array = picture(400, 30, numpy.uint8)
        whole = sasnet.Smoother(device=DEVICE)
        limited = sasnet.Smoother(device=DEVICE, max_memory=whole.estimate(30, 400) - 1)
        self.assertLess(limited.estimate(30, 400), whole.estimate(30, 400))
        numpy.testing.assert_array_equal(whole(array), limited(array))
        with self.assertRaisesRegex(sasnet.SasnetError, "do not fit"):
            sasnet.Smoother(device=DEVICE, max_memory=1000).estimate(30, 400)

    def test_what_is_wrong_is_said(self):
        for options, said in [
            ({"model": "large"}, "there are small, soft"),
            ({"method": "gauss"}, "no method gauss"),
            ({"method": "rgf", "sigma": 1}, "no parameter sigma"),
            ({"device": "no such device"}, "no such device"),
        ]:
            with self.assertRaisesRegex(sasnet.SasnetError, said):
                sasnet.Smoother(**{"device": DEVICE, **options})
        for wrong in picture(4, 4, numpy.uint8)[..., 0], numpy.zeros((4, 4, 3)), numpy.zeros((0, 4, 3), numpy.uint8):
            with self.assertRaises((ValueError, sasnet.SasnetError)):
                sasnet.smooth(wrong, device=DEVICE)
        with self.assertRaisesRegex(sasnet.SasnetError, "not finite"):
            sasnet.smooth(numpy.full((4, 4, 3), numpy.nan, numpy.float32), device=DEVICE)


unittest.main(argv=sys.argv[:1])
