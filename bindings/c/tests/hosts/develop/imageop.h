/* Of darktable (develop/imageop.h, control/control.h): what docs/embedding.md uses. */
#include <stddef.h>

typedef struct dt_iop_roi_t { int x, y, width, height; float scale; } dt_iop_roi_t;
typedef struct dt_dev_pixelpipe_iop_t dt_dev_pixelpipe_iop_t;
struct dt_iop_module_t { void *data; };
void dt_control_log(const char *format, ...);
