/* Of GIMP 3's libgimp, GEGL, babl and GLib: what docs/embedding.md uses. */
#include <stddef.h>

typedef int gboolean, gint;
typedef size_t gsize;
#define TRUE 1
#define g_new(type, count) ((type *)g_malloc_n((count), sizeof(type)))
void *g_malloc_n(gsize count, gsize size);
void g_free(void *memory);
void g_object_unref(void *object);
void g_message(const char *format, ...);

typedef struct _Babl Babl;
const Babl *babl_format(const char *encoding);

typedef struct _GeglBuffer GeglBuffer;
typedef struct { gint x, y, width, height; } GeglRectangle;
typedef enum { GEGL_ABYSS_NONE } GeglAbyssPolicy;
#define GEGL_AUTO_ROWSTRIDE 0
#define GEGL_RECTANGLE(x, y, w, h) (&((const GeglRectangle){(x), (y), (w), (h)}))
void gegl_buffer_get(GeglBuffer *buffer, const GeglRectangle *rect, double scale, const Babl *format, void *dest,
                     gint rowstride, GeglAbyssPolicy repeat_mode);
void gegl_buffer_set(GeglBuffer *buffer, const GeglRectangle *rect, gint mipmap_level, const Babl *format,
                     const void *src, gint rowstride);
void gegl_buffer_flush(GeglBuffer *buffer);

typedef struct _GimpDrawable GimpDrawable;
gboolean gimp_drawable_mask_intersect(GimpDrawable *drawable, gint *x, gint *y, gint *width, gint *height);
GeglBuffer *gimp_drawable_get_buffer(GimpDrawable *drawable);
GeglBuffer *gimp_drawable_get_shadow_buffer(GimpDrawable *drawable);
gboolean gimp_drawable_merge_shadow(GimpDrawable *drawable, gboolean undo);
gboolean gimp_drawable_update(GimpDrawable *drawable, gint x, gint y, gint width, gint height);
gboolean gimp_progress_update(double percentage);
