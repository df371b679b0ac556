/*
 * SASNet for C and C++: smooths pictures in the caller's memory. C99; docs/embedding.md has examples.
 *
 * Written by cbindgen from bindings/c/src: change that, then run
 * SASNET_RENEW_HEADER=1 cargo test --profile dev -p sasnet-header.
 */

#ifndef SASNET_H
#define SASNET_H

#include <stddef.h>
#include <stdint.h>

// What a call returns.
typedef enum {
    // It is done.
    SASNET_STATUS_OK = 0,
    // An argument is wrong, or weights are no weights.
    SASNET_STATUS_INVALID = 1,
    // There is no such device, or it failed.
    SASNET_STATUS_DEVICE = 2,
    // The device is gone: open it again.
    SASNET_STATUS_LOST = 3,
    // The picture needs more memory than there is, or than was allowed.
    SASNET_STATUS_TOO_LARGE = 4,
    // The progress function said so. The output is as it was.
    SASNET_STATUS_CANCELLED = 5,
    // The filter is at work on another thread.
    SASNET_STATUS_BUSY = 6,
    // A fault of this library. The filter can be used again.
    SASNET_STATUS_INTERNAL = 7,
} SasnetStatus;

// How a pixel's values are stored: integers over their whole range, or floating-point numbers from 0 to 1. They are the
// codes of an sRGB picture, as files and screens have them, not linear light. Alpha is copied, and colours are smoothed
// as they are: not premultiplied is best.
enum SasnetFormat
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // 3 bytes: red, green, blue.
    SASNET_FORMAT_RGB8 = 1,
    // 4 bytes: red, green, blue, alpha.
    SASNET_FORMAT_RGBA8 = 2,
    // 4 bytes: blue, green, red, alpha.
    SASNET_FORMAT_BGRA8 = 3,
    // 3 bytes: blue, green, red.
    SASNET_FORMAT_BGR8 = 4,
    // 3 uint16_t.
    SASNET_FORMAT_RGB16 = 5,
    // 4 uint16_t.
    SASNET_FORMAT_RGBA16 = 6,
    // 3 IEEE floating-point numbers of 16 bits.
    SASNET_FORMAT_RGB_F16 = 7,
    // 4 of them.
    SASNET_FORMAT_RGBA_F16 = 8,
    // 3 float.
    SASNET_FORMAT_RGB_F32 = 9,
    // 4 float.
    SASNET_FORMAT_RGBA_F32 = 10,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum SasnetFormat SasnetFormat;
#else
typedef uint32_t SasnetFormat;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A device: a GPU, or the CPU.
typedef struct SasnetDevice SasnetDevice;

// What smooths pictures, on a device. Of one thread at a time; several filters may run on several threads.
typedef struct SasnetFilter SasnetFilter;

// A picture in the caller's memory. Set all of it to 0 first, and struct_size to sizeof(SasnetImage): later versions
// have more fields at the end, whose 0 is what this version does.
//
// The value of channel c at column x of row y lies at
// data + y * row_stride + x * pixel_stride + c * (plane_stride, or where that is 0 the size of a value).
typedef struct {
    // sizeof(SasnetImage).
    size_t struct_size;
    // The first row's first pixel. Need not be aligned.
    void *data;
    // A SasnetFormat.
    uint32_t format;
    // Pixels in a row.
    uint32_t width;
    // Rows.
    uint32_t height;
    // Bytes from a pixel to the next in its row; 0 = they lie close together.
    size_t pixel_stride;
    // Bytes from a row to the next; 0 = they lie close together, negative = the picture stands upside down in memory.
    ptrdiff_t row_stride;
    // Bytes from a channel's plane to the next one's, in the format's order; 0 = interleaved.
    ptrdiff_t plane_stride;
} SasnetImage;

// Hears on the calling thread how much is done, from 0 to 1, every some tenths of a second or more often; 0 cancels, any
// other number goes on. Must return (no C++ exception, no longjmp), and not use the filter.
typedef int (*SasnetProgress)(void *user, double done);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of this library as major * 65536 + minor * 256 + patch. The same major (0: and minor) has the same
// functions, and perhaps more.
uint32_t sasnet_version(void);

// What went wrong in this thread's last call that failed, in UTF-8, with what to do; "" where none did. Valid until its
// next call that fails.
const char *sasnet_error_message(void);

// The devices of this machine, a line each, in UTF-8, the CPU left out. Valid until this thread's next call of it.
const char *sasnet_device_list(void);

// Opens a device: "cpu", a number in sasnet_device_list (from 0), or a part of a line there; NULL = a real GPU, or the
// CPU where there is none. The CPU's threads are as many as there are cores, or as the environment's RAYON_NUM_THREADS
// says.
SasnetStatus sasnet_device_new(const char *name, SasnetDevice **result);

// Closes a device; NULL is fine. Filters keep it for themselves.
void sasnet_device_free(SasnetDevice *device);

// A filter by a network: the shipped one called so ("small" or "soft"; NULL = "small").
SasnetStatus sasnet_filter_new(const SasnetDevice *on, const char *model, SasnetFilter **result);

// A filter by a network of your own: the bytes of a weights file (safetensors), which are not needed afterwards.
SasnetStatus sasnet_filter_new_weights(const SasnetDevice *on, const void *weights, size_t size, SasnetFilter **result);

// A filter by a classical method: "gf", "l0", "rtv", "rgf", "sdf", "ils" (docs/filters.md).
SasnetStatus sasnet_filter_new_method(const SasnetDevice *on, const char *method, SasnetFilter **result);

// Frees a filter; NULL is fine.
void sasnet_filter_free(SasnetFilter *filter);

// Sets a parameter of a classical method, as "sigma_s" to "2".
SasnetStatus sasnet_filter_set(SasnetFilter *filter, const char *name, const char *value);

// Sets how much is smoothed: 0 = the picture as it is, 1 (the default) = the filter's result, between them a blend.
SasnetStatus sasnet_filter_set_amount(SasnetFilter *filter, double amount);

// Sets how large the textures are that go: 1 (the default) = what the network knows, to 8.
SasnetStatus sasnet_filter_set_texture_size(SasnetFilter *filter, double size);

// Sets whether the mean of eight flips and rotations is taken (not 0): better, eight times as slow. Networks only.
SasnetStatus sasnet_filter_set_ensemble(SasnetFilter *filter, int ensemble);

// Sets the noise that stands in the texture's place: its scale (the default: what the weights were trained with, 0 for
// the shipped ones) and seed. Networks that were trained with noise only.
SasnetStatus sasnet_filter_set_noise(SasnetFilter *filter, double scale, uint64_t seed);

// Smooths each result once more by a classical method, as "gf,r=2,eps=0.0003" (docs/filters.md), which takes the faint
// unevenness away that a network leaves; "" = the one that suits the shipped networks, NULL (the default) = none.
SasnetStatus sasnet_filter_set_finish(SasnetFilter *filter, const char *method);

// Lets the filter take no more than so many bytes of the device's memory; 0 (the default) = what there is. On the CPU
// that is beside 32 bytes a pixel, 44 with a finish. A picture for which that is too little goes through in slabs, with
// the same result bit for bit.
SasnetStatus sasnet_filter_set_max_memory(SasnetFilter *filter, uint64_t bytes);

// Says how many bytes of the device's memory a picture of this size takes, within what is allowed; allocates nothing.
// SASNET_STATUS_TOO_LARGE where it does not fit, with the largest size that does in the message.
SasnetStatus sasnet_filter_estimate(SasnetFilter *filter, uint32_t width, uint32_t height, uint64_t *bytes);

// Smooths a picture into another of the same size: of any format each, and in memory that may be the same or overlap.
// Returns when the result is there; whatever fails, the output is as it was. Values are clipped to 0 .. 1. Alpha goes over
// where both have it, and is opaque where the output alone does.
//
// The first picture of a size takes longer: memory is allocated, and on a GPU kernels are compiled (1 to 4 s once a
// device, progress and cancelling included).
SasnetStatus sasnet_filter_run(SasnetFilter *filter,
                               const SasnetImage *input,
                               const SasnetImage *output,
                               SasnetProgress progress,
                               void *user);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SASNET_H */
