/* What a C program meets: every format, strides, planes, progress, cancelling, memory, errors. C99; argv[1] is a device. */
#include "sasnet.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures = 0;

#define CHECK(condition)                                                                                  \
    do {                                                                                                  \
        if (!(condition)) {                                                                               \
            failures++;                                                                                   \
            printf("%s:%d: %s: \"%s\"\n", __FILE__, __LINE__, #condition, sasnet_error_message()); \
        }                                                                                                 \
    } while (0)

enum { W = 37, H = 21 };

/* Codes of 8 bits with edges and texture. */
static unsigned char code(int c, int x, int y) {
    int edge = (x + 2 * y) % 17 < 8 ? 60 : 180;
    return (unsigned char)(edge + 15 * c + (7 * x * x + 13 * y + 5 * x * y) % 31);
}

/* A format: its size in bytes, its channels, and where red, green, blue, alpha stand. */
struct known {
    SasnetFormat format;
    int bytes, channels, is_float, order[4];
};

static const struct known KNOWN[] = {
    {SASNET_FORMAT_RGB8, 1, 3, 0, {0, 1, 2, 3}},      {SASNET_FORMAT_RGBA8, 1, 4, 0, {0, 1, 2, 3}},
    {SASNET_FORMAT_BGRA8, 1, 4, 0, {2, 1, 0, 3}},     {SASNET_FORMAT_BGR8, 1, 3, 0, {2, 1, 0, 3}},
    {SASNET_FORMAT_RGB16, 2, 3, 0, {0, 1, 2, 3}},     {SASNET_FORMAT_RGBA16, 2, 4, 0, {0, 1, 2, 3}},
    {SASNET_FORMAT_RGB_F16, 2, 3, 1, {0, 1, 2, 3}},   {SASNET_FORMAT_RGBA_F16, 2, 4, 1, {0, 1, 2, 3}},
    {SASNET_FORMAT_RGB_F32, 4, 3, 1, {0, 1, 2, 3}},   {SASNET_FORMAT_RGBA_F32, 4, 4, 1, {0, 1, 2, 3}},
};

/* IEEE halves of 0 to 1. */
static uint16_t to_half(double v) {
    int exponent = 0;
    double m = frexp(v, &exponent); /* 0.5 <= m < 1 */
    if (v < 6.103515625e-5) return (uint16_t)floor(v * 16777216.0 + 0.5);
    return (uint16_t)(((exponent + 14) << 10) + (int)floor((2 * m - 1) * 1024 + 0.5));
}

static double from_half(uint16_t h) {
    return h >> 10 ? ldexp(1024 + (h & 1023), (h >> 10) - 25) : ldexp(h & 1023, -24);
}

static void put(const struct known *k, unsigned char *at, double v) {
    uint16_t word = k->is_float ? to_half(v) : (uint16_t)floor(v * 65535 + 0.5);
    float real = (float)v;
    if (k->bytes == 1) *at = (unsigned char)floor(v * 255 + 0.5);
    if (k->bytes == 2) memcpy(at, &word, 2);
    if (k->bytes == 4) memcpy(at, &real, 4);
}

static double get(const struct known *k, const unsigned char *at) {
    uint16_t word;
    float real;
    if (k->bytes == 1) return *at / 255.0;
    if (k->bytes == 2) {
        memcpy(&word, at, 2);
        return k->is_float ? from_half(word) : word / 65535.0;
    }
    memcpy(&real, at, 4);
    return real;
}

static unsigned char *value(const SasnetImage *image, int bytes, int c, int x, int y) {
    ptrdiff_t plane = image->plane_stride ? image->plane_stride : bytes;
    return (unsigned char *)image->data + y * image->row_stride + x * (ptrdiff_t)image->pixel_stride + c * plane;
}

static int hear(void *user, double done) {
    double *heard = user; /* the last word, how many, how many are allowed */
    CHECK(done >= heard[0] && done <= 1);
    heard[0] = done;
    return ++heard[1] < heard[2];
}

/* Each format, interleaved and planar, upside down or not, with gaps whose bytes stay; into itself. */
static void formats(SasnetFilter *filter, const float *expected) {
    for (size_t k = 0; k < sizeof KNOWN / sizeof *KNOWN; k++) {
        for (int way = 0; way < 4; way++) {
            const struct known *known = &KNOWN[k];
            int planar = way & 1, flipped = way & 2, bytes = known->bytes;
            ptrdiff_t pixel = planar ? bytes + 1 : bytes * known->channels + 3;
            ptrdiff_t row = pixel * W + 5, plane = row * H + 7, size = plane * (planar ? known->channels : 1);
            unsigned char *memory = malloc((size_t)size), *before = malloc((size_t)size);
            SasnetImage image = {0};
            image.struct_size = sizeof image;
            image.format = known->format;
            image.width = W;
            image.height = H;
            image.pixel_stride = (size_t)pixel;
            image.row_stride = flipped ? -row : row;
            image.plane_stride = planar ? plane : 0;
            image.data = memory + (flipped ? row * (H - 1) : 0);
            memset(memory, 0xa5, (size_t)size);
            for (int y = 0; y < H; y++)
                for (int x = 0; x < W; x++)
                    for (int c = 0; c < known->channels; c++)
                        put(known, value(&image, bytes, known->order[c], x, y), c == 3 ? x / 40.0 : code(c, x, y) / 255.0);
            memcpy(before, memory, (size_t)size);
            CHECK(sasnet_filter_run(filter, &image, &image, NULL, NULL) == SASNET_STATUS_OK);
            double worst = 0, tolerance = bytes == 1 ? 0.5001 / 255 : bytes == 4 ? 1e-6 : known->is_float ? 0.004 : 2e-5;
            for (int y = 0; y < H; y++)
                for (int x = 0; x < W; x++)
                    for (int c = 0; c < known->channels; c++) {
                        unsigned char *at = value(&image, bytes, known->order[c], x, y);
                        if (c == 3) CHECK(memcmp(at, before + (at - memory), (size_t)bytes) == 0);
                        else worst = fmax(worst, fabs(get(known, at) - expected[(c * H + y) * W + x]));
                        memset(at, 0xa5, (size_t)bytes);
                    }
            int gaps = 0;
            for (ptrdiff_t i = 0; i < size; i++) gaps += memory[i] != 0xa5;
            if (worst > tolerance || gaps) printf("format %d, way %d: off by %g, %d\n", (int)known->format, way, worst, gaps);
            CHECK(worst <= tolerance && gaps == 0);
            free(memory);
            free(before);
        }
    }
}

/* In slabs the result is the same, bit for bit. */
static void slabs(SasnetFilter *filter) {
    enum { TALL = 400 };
    unsigned char *memory = malloc(3 * 3 * W * TALL);
    SasnetImage images[3];
    uint64_t whole = 0, cut = 0;
    memset(images, 0, sizeof images);
    for (int i = 0; i < 3; i++) {
        images[i].struct_size = sizeof images[i];
        images[i].format = SASNET_FORMAT_RGB8;
        images[i].width = W;
        images[i].height = TALL;
        images[i].data = memory + 3 * W * TALL * i;
    }
    for (int i = 0; i < 3 * W * TALL; i++) memory[i] = code(i % 3, i / 3 % W, i / 3 / W);
    CHECK(sasnet_filter_estimate(filter, W, TALL, &whole) == SASNET_STATUS_OK);
    CHECK(sasnet_filter_run(filter, &images[0], &images[1], NULL, NULL) == SASNET_STATUS_OK);
    CHECK(sasnet_filter_set_max_memory(filter, whole - 1) == SASNET_STATUS_OK);
    CHECK(sasnet_filter_estimate(filter, W, TALL, &cut) == SASNET_STATUS_OK && 0 < cut && cut < whole);
    CHECK(sasnet_filter_run(filter, &images[0], &images[2], NULL, NULL) == SASNET_STATUS_OK);
    CHECK(memcmp(images[1].data, images[2].data, 3 * W * TALL) == 0);
    CHECK(memcmp(images[0].data, images[2].data, 3 * W * TALL) != 0);
    CHECK(sasnet_filter_set_max_memory(filter, 0) == SASNET_STATUS_OK);
    free(memory);
}

int main(int argc, char **argv) {
    SasnetDevice *device = NULL;
    SasnetFilter *filter = NULL, *method = NULL;
    static float planes[3 * W * H], smooth[3 * W * H], again[3 * W * H];
    SasnetImage in = {0}, out;
    double heard[3] = {0, 0, 1e9};
    uint64_t bytes = 0;

    CHECK(sasnet_version() >> 16 == 0);
    CHECK(strcmp(sasnet_error_message(), "") == 0);
    CHECK(sasnet_device_new("no such device", &device) == SASNET_STATUS_DEVICE);
    CHECK(strstr(sasnet_error_message(), "no such device"));
    CHECK(sasnet_device_new(argc > 1 ? argv[1] : "cpu", &device) == SASNET_STATUS_OK);
    CHECK(sasnet_filter_new(device, "large", &filter) == SASNET_STATUS_INVALID);
    CHECK(strstr(sasnet_error_message(), "small, soft"));
    CHECK(sasnet_filter_new(NULL, NULL, &filter) == SASNET_STATUS_INVALID);
    CHECK(sasnet_filter_new(device, NULL, NULL) == SASNET_STATUS_INVALID);
    CHECK(sasnet_filter_new_weights(device, "no weights", 10, &filter) == SASNET_STATUS_INVALID);
    CHECK(sasnet_filter_new(device, NULL, &filter) == SASNET_STATUS_OK);

    for (int c = 0; c < 3; c++)
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) planes[(c * H + y) * W + x] = (float)(code(c, x, y) / 255.0);
    in.struct_size = sizeof in;
    in.format = SASNET_FORMAT_RGB_F32;
    in.width = W;
    in.height = H;
    in.data = planes;
    in.plane_stride = sizeof(float) * W * H;
    out = in;
    out.data = smooth;
    CHECK(sasnet_filter_run(filter, &in, &out, hear, heard) == SASNET_STATUS_OK);
    CHECK(heard[0] == 1 && heard[1] > 1);
    heard[0] = heard[1] = 0; /* kernels are there now */
    CHECK(sasnet_filter_run(filter, &in, &out, hear, heard) == SASNET_STATUS_OK && heard[0] == 1);
    {
        double changed = 0;
        for (int i = 0; i < 3 * W * H; i++) changed += fabs(smooth[i] - planes[i]) / (3 * W * H);
        CHECK(changed > 0.005);
    }
    formats(filter, smooth);

    /* Cancelled within: nothing is written. */
    out.data = again;
    for (int words = 1; words <= heard[1]; words += heard[1] > 20 ? 7 : 1) {
        double stop[3] = {0, 0, 0};
        stop[2] = words;
        CHECK(sasnet_filter_run(filter, &in, &out, hear, stop) == SASNET_STATUS_CANCELLED);
        CHECK(stop[1] == words && again[0] == 0 && again[3 * W * H - 1] == 0);
    }

    CHECK(sasnet_filter_set_max_memory(filter, 1000) == SASNET_STATUS_OK);
    CHECK(sasnet_filter_estimate(filter, 300, 400, &bytes) == SASNET_STATUS_TOO_LARGE);
    CHECK(sasnet_filter_run(filter, &in, &out, NULL, NULL) == SASNET_STATUS_TOO_LARGE && again[0] == 0);
    CHECK(sasnet_filter_set_max_memory(filter, 0) == SASNET_STATUS_OK);
    slabs(filter);

    /* Half of it. */
    CHECK(sasnet_filter_set_amount(filter, 0.5) == SASNET_STATUS_OK);
    CHECK(sasnet_filter_run(filter, &in, &out, NULL, NULL) == SASNET_STATUS_OK);
    for (int i = 0; i < 3 * W * H; i++) CHECK(fabs(again[i] - (smooth[i] + planes[i]) / 2) < 1e-6);
    CHECK(sasnet_filter_set_amount(filter, 2) == SASNET_STATUS_OK);
    CHECK(sasnet_filter_run(filter, &in, &out, NULL, NULL) == SASNET_STATUS_INVALID);
    CHECK(strstr(sasnet_error_message(), "the amount is 2"));
    CHECK(sasnet_filter_set_amount(filter, 1) == SASNET_STATUS_OK);

    /* What is no picture. */
    CHECK(sasnet_filter_run(NULL, &in, &out, NULL, NULL) == SASNET_STATUS_INVALID);
    CHECK(sasnet_filter_run(filter, NULL, &out, NULL, NULL) == SASNET_STATUS_INVALID);
    for (int wrong = 0; wrong < 6; wrong++) {
        SasnetImage bad = in;
        if (wrong == 0) bad.struct_size = 8;
        if (wrong == 1) bad.format = (SasnetFormat)99;
        if (wrong == 2) bad.width = 0;
        if (wrong == 3) bad.data = NULL;
        if (wrong == 4) bad.row_stride = PTRDIFF_MAX / 2;
        if (wrong == 5) bad.width = W - 1;
        CHECK(sasnet_filter_run(filter, &bad, &out, NULL, NULL) == SASNET_STATUS_INVALID);
        CHECK(strlen(sasnet_error_message()) > 10);
    }
    /* A later version's struct, as long as nothing new is used in it. */
    {
        struct { SasnetImage image; size_t later; } larger = {in, 0};
        larger.image.struct_size = sizeof larger;
        CHECK(sasnet_filter_run(filter, &larger.image, &out, NULL, NULL) == SASNET_STATUS_OK);
        larger.later = 1;
        CHECK(sasnet_filter_run(filter, &larger.image, &out, NULL, NULL) == SASNET_STATUS_INVALID);
    }

    /* A classical method; the device may go before its filters. */
    CHECK(sasnet_filter_new_method(device, "gauss", &method) == SASNET_STATUS_INVALID);
    CHECK(sasnet_filter_new_method(device, "rtv", &method) == SASNET_STATUS_OK);
    sasnet_device_free(device);
    CHECK(sasnet_filter_set(method, "sigma", "2") == SASNET_STATUS_OK);
    CHECK(sasnet_filter_set(method, "sigma", "no") == SASNET_STATUS_INVALID);
    CHECK(sasnet_filter_set(filter, "sigma", "2") == SASNET_STATUS_INVALID);
    heard[0] = heard[1] = 0;
    CHECK(sasnet_filter_run(method, &in, &out, hear, heard) == SASNET_STATUS_OK);
    CHECK(memcmp(smooth, again, sizeof smooth) != 0 && heard[0] == 1);
    heard[0] = heard[1] = 0;
    heard[2] = 2;
    CHECK(sasnet_filter_run(method, &in, &out, hear, heard) == SASNET_STATUS_CANCELLED);

    sasnet_filter_free(filter);
    sasnet_filter_free(method);
    sasnet_filter_free(NULL);
    sasnet_device_free(NULL);
    printf(failures ? "%d checks failed\n" : "all well\n", failures);
    return failures != 0;
}
