// The part of TensorFlow Lite Micro that docs/microcontroller.md uses, as tflite-micro declares it. The interpreter is a
// stand-in: its logits are the first of its pixels.
#pragma once
#include <cstddef>
#include <cstdint>

#define TFLITE_SCHEMA_VERSION (3)

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
enum TfLiteType { kTfLiteNoType = 0, kTfLiteFloat32 = 1, kTfLiteUInt8 = 3, kTfLiteInt8 = 9 };
union TfLitePtrUnion {
  float* f;
  uint8_t* uint8;
  int8_t* int8;
};
struct TfLiteQuantizationParams {
  float scale;
  int32_t zero_point;
};
struct TfLiteTensor {
  TfLiteType type;
  TfLitePtrUnion data;
  TfLiteQuantizationParams params;
  size_t bytes;
};

inline void MicroPrintf(const char*, ...) {}

namespace tflite {
inline void InitializeTarget() {}

struct Model {
  uint32_t version() const { return TFLITE_SCHEMA_VERSION; }
};
inline const Model* GetModel(const void*) {
  static const Model model;
  return &model;
}

class MicroOpResolver {};
template <unsigned int kOperators>
class MicroMutableOpResolver : public MicroOpResolver {
 public:
  TfLiteStatus AddAdd() { return Added(); }
  TfLiteStatus AddConv2D() { return Added(); }
  TfLiteStatus AddEthosU() { return Added(); }
  TfLiteStatus AddFullyConnected() { return Added(); }
  TfLiteStatus AddMaxPool2D() { return Added(); }
  TfLiteStatus AddMean() { return Added(); }
  TfLiteStatus AddMul() { return Added(); }
  TfLiteStatus AddPad() { return Added(); }

 private:
  TfLiteStatus Added() { return ++added_ > kOperators ? kTfLiteError : kTfLiteOk; }
  unsigned int added_ = 0;
};

class MicroInterpreter {
 public:
  MicroInterpreter(const Model*, const MicroOpResolver&, uint8_t* tensor_arena, size_t tensor_arena_size)
      : pixels_{kTfLiteInt8, {}, {1.0f, -128}, kPixels}, logits_{kTfLiteInt8, {}, {0.25f, 3}, kLogits} {
    arena_ = tensor_arena_size < kPixels + kLogits ? nullptr : reinterpret_cast<int8_t*>(tensor_arena);
  }
  TfLiteStatus AllocateTensors() {
    pixels_.data.int8 = arena_;
    logits_.data.int8 = arena_ + kPixels;
    return arena_ ? kTfLiteOk : kTfLiteError;
  }
  TfLiteStatus Invoke() {
    for (size_t i = 0; i < kLogits; ++i) logits_.data.int8[i] = pixels_.data.int8[i];
    return kTfLiteOk;
  }
  TfLiteTensor* input(size_t) { return &pixels_; }
  TfLiteTensor* output(size_t) { return &logits_; }
  size_t arena_used_bytes() const { return kPixels + kLogits; }

 private:
  static constexpr size_t kPixels = STAND_IN_PIXELS, kLogits = STAND_IN_LOGITS;
  TfLiteTensor pixels_, logits_;
  int8_t* arena_;
};
}  // namespace tflite
