/* Of OBS Studio's libobs (obs-module.h, obs-source.h, media-io/video-io.h, util/base.h): what docs/embedding.md uses. */
#include <stddef.h>
#include <stdint.h>

#define MAX_AV_PLANES 8
#define OBS_SOURCE_VIDEO (1 << 0)
#define OBS_SOURCE_ASYNC (1 << 2)
#define OBS_SOURCE_ASYNC_VIDEO (OBS_SOURCE_ASYNC | OBS_SOURCE_VIDEO)
enum { LOG_ERROR = 100 };
enum video_format { VIDEO_FORMAT_NONE, VIDEO_FORMAT_RGBA = 6, VIDEO_FORMAT_BGRA = 7 };
enum obs_source_type { OBS_SOURCE_TYPE_INPUT, OBS_SOURCE_TYPE_FILTER };
typedef struct obs_data obs_data_t;
typedef struct obs_source obs_source_t;
struct obs_source_frame {
    uint8_t *data[MAX_AV_PLANES];
    uint32_t linesize[MAX_AV_PLANES], width, height;
    uint64_t timestamp;
    enum video_format format;
};
struct obs_source_info {
    const char *id;
    enum obs_source_type type;
    uint32_t output_flags;
    void *(*create)(obs_data_t *settings, obs_source_t *source);
    void (*destroy)(void *data);
    struct obs_source_frame *(*filter_video)(void *data, struct obs_source_frame *frame);
};
void blog(int log_level, const char *format, ...);
