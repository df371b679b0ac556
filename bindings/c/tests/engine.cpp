// The class of docs/embedding.md, which the test puts into engine.h: smooths, cancels, throws.
#include "engine.h"

#include <cstdio>

int main(int, char **argv) {
    const uint32_t width = 40, height = 30;
    std::vector<float> picture;
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++) {
            const float edge = x < width / 2 ? 0.05f : 0.4f, texture = (x * 7 + y * 13) % 5 * 0.02f;
            for (float v : {edge + texture, edge, edge + texture, 0.5f}) picture.push_back(v);
        }
    // The mean difference between neighbours in the left half.
    const auto rough = [&](const std::vector<float> &of) {
        float sum = 0;
        for (uint32_t y = 4; y < height - 4; y++)
            for (uint32_t x = 4; x < width / 2 - 4; x++)
                sum += std::fabs(of[4 * (y * width + x)] - of[4 * (y * width + x + 1)]);
        return sum;
    };
    Smoother smoother(argv[1]);
    std::vector<float> smooth(picture), stopped(picture);
    int words = 0;
    bool good = !smoother(stopped, width, height, [&](double) { return ++words < 3; }) && words == 3 && stopped == picture;
    good = good && smoother(smooth, width, height, [](double) { return true; }) && rough(smooth) < 0.5f * rough(picture);
    good = good && smooth[3] == 0.5f && smooth[4 * (width - 1)] > 3 * smooth[0];
    try {
        Smoother none("no such device");
        good = false;
    } catch (const std::runtime_error &error) {
        good = good && std::string(error.what()).find("no such device") != std::string::npos;
    }
    std::puts(good ? "all well" : "something is wrong");
    return good ? 0 : 1;
}
