// SPDX-License-Identifier: Apache-2.0
// What all parts of the façade share: failures with a sentence, buffers that C can free, sizes of frames.
#pragma once

#include "ccodecs.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>

namespace ccodecs {

struct Failure {
    ccodecs_status status;
    std::string why;
};

[[noreturn]] inline void malformed(const std::string &why) { throw Failure{CCODECS_MALFORMED, why}; }
[[noreturn]] inline void unsupported(const std::string &why) { throw Failure{CCODECS_UNSUPPORTED, why}; }
[[noreturn]] inline void tooLarge(const std::string &why) { throw Failure{CCODECS_TOO_LARGE, why}; }

inline void explain(char *why, size_t size, const char *text) {
    if (why != nullptr && size > 0) std::snprintf(why, size, "%s", text);
}

/// Runs the body of an interface function; no exception leaves it.
template <typename Body>
ccodecs_status guarded(char *why, size_t size, Body body) {
    explain(why, size, "");
    try {
        body();
        return CCODECS_OK;
    } catch (const Failure &failure) {
        explain(why, size, failure.why.c_str());
        return failure.status;
    } catch (const std::bad_alloc &) {
        explain(why, size, "The image needs more memory than it may have.");
        return CCODECS_TOO_LARGE;
    } catch (const std::exception &exception) {
        explain(why, size, exception.what());
        return CCODECS_FAILED;
    } catch (...) {
        explain(why, size, "A codec failed without saying why.");
        return CCODECS_FAILED;
    }
}

/// A block of malloc, so that a result can leave through the C interface without a copy.
class Buffer {
public:
    Buffer() = default;
    explicit Buffer(size_t size)
        : size_(size), capacity_(size), bytes_(static_cast<uint8_t *>(std::calloc(size > 0 ? size : 1, 1))) {
        if (!bytes_) throw std::bad_alloc();
    }

    uint8_t *data() { return bytes_.get(); }
    const uint8_t *data() const { return bytes_.get(); }
    size_t size() const { return size_; }

    /// Appends; grows by half.
    void append(const void *bytes, size_t count) {
        reserve(size_ + count);
        std::memcpy(bytes_.get() + size_, bytes, count);
        size_ += count;
    }
    void push(uint8_t byte) {
        if (size_ == capacity_) reserve(size_ + 1);
        bytes_.get()[size_++] = byte;
    }
    void resize(size_t size) {
        reserve(size);
        size_ = size;
    }

    void give(uint8_t **result, size_t *length) {
        *length = size_;
        *result = bytes_.release();
    }

private:
    struct Free {
        void operator()(uint8_t *bytes) const { std::free(bytes); }
    };

    void reserve(size_t needed) {
        if (needed <= capacity_) return;
        size_t grown = needed + needed / 2 + 256;
        void *moved = std::realloc(bytes_.get(), grown);
        if (moved == nullptr) throw std::bad_alloc();
        bytes_.release();
        bytes_.reset(static_cast<uint8_t *>(moved));
        capacity_ = grown;
    }

    size_t size_ = 0;
    size_t capacity_ = 0;
    std::unique_ptr<uint8_t, Free> bytes_;
};

constexpr uint64_t largestFrame = uint64_t(2) << 30;

inline uint64_t pixelCount(const ccodecs_image &image) { return uint64_t(image.rows) * image.columns; }
inline uint64_t sampleCount(const ccodecs_image &image) { return pixelCount(image) * image.samples_per_pixel; }
inline bool is(const ccodecs_image &image, const char *photometric) {
    return std::strncmp(image.photometric, photometric, sizeof image.photometric) == 0;
}
inline void setPhotometric(ccodecs_image &image, const char *photometric) {
    std::snprintf(image.photometric, sizeof image.photometric, "%s", photometric);
}

/// Length of a frame that has all its samples, as decoders give it.
inline uint64_t decodedLength(const ccodecs_image &image) { return sampleCount(image) * (image.bits_allocated / 8); }

/// Length of the native frame. YBR_FULL_422, which has three samples, shares its chroma between two pixels (PS3.3 section
/// C.7.6.3.1.2); whatever else says that it is that has all its samples.
inline uint64_t frameLength(const ccodecs_image &image) {
    if (image.bits_allocated == 1) return (sampleCount(image) + 7) / 8;
    bool isShared = image.samples_per_pixel == 3 && is(image, "YBR_FULL_422");
    uint64_t samples = isShared ? pixelCount(image) * 2 : sampleCount(image);
    return samples * (image.bits_allocated / 8);
}

/// Refuses attributes that no codec here can work with.
void checkImage(const ccodecs_image &image);
/// "3 rows and 4 columns"
std::string size(uint64_t rows, uint64_t columns);
void checkDimensions(const ccodecs_image &image, uint64_t rows, uint64_t columns, uint64_t components);

}  // namespace ccodecs
