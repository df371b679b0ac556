/* Of Krita and Qt: what docs/embedding.md uses, and the class that it is a member of. */
#include <sasnet.h>

typedef unsigned char quint8;
struct QRect {
    int width() const;
    int height() const;
};
struct QByteArray {
    QByteArray(int size, char fill);
    char *data();
    const char *constData() const;
};
struct KisPaintDevice {
    void readBytes(quint8 *data, const QRect &rect) const;
    void writeBytes(const quint8 *data, const QRect &rect);
};
struct KisPaintDeviceSP {
    KisPaintDevice *operator->() const;
};
struct KisFilterConfigurationSP {};
struct KoUpdater {
    void setProgress(int percent);
    bool interrupted() const;
};
struct KisFilter {
    virtual ~KisFilter() {}
    virtual void processImpl(KisPaintDeviceSP device, const QRect &applyRect, const KisFilterConfigurationSP config,
                             KoUpdater *progressUpdater) const = 0;
};
struct SasnetKritaFilter : KisFilter {
    SasnetFilter *m_filter;
    void processImpl(KisPaintDeviceSP device, const QRect &applyRect, const KisFilterConfigurationSP config,
                     KoUpdater *progressUpdater) const;
};
