/* The part of TensorFlow Lite's C API that run.c of a bundle uses, as c_api.h declares it. The interpreter is a stand-in:
   what it gives begins with its input. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum { kTfLiteOk = 0, kTfLiteError = 1 } TfLiteStatus;
typedef struct TfLiteModel { int unused; } TfLiteModel;
typedef struct TfLiteInterpreterOptions { int unused; } TfLiteInterpreterOptions;
typedef struct TfLiteTensor { unsigned char data[1 << 20]; } TfLiteTensor;
typedef struct TfLiteInterpreter { TfLiteTensor input, output; } TfLiteInterpreter;

static TfLiteModel stand_in_model;
static TfLiteInterpreter stand_in;

static inline TfLiteModel *TfLiteModelCreateFromFile(const char *path) { return path ? &stand_in_model : NULL; }
static inline TfLiteInterpreterOptions *TfLiteInterpreterOptionsCreate(void) { return NULL; }
static inline TfLiteInterpreter *TfLiteInterpreterCreate(const TfLiteModel *model, const TfLiteInterpreterOptions *options) {
  (void)options;
  return model ? &stand_in : NULL;
}
static inline TfLiteStatus TfLiteInterpreterAllocateTensors(TfLiteInterpreter *interpreter) {
  return interpreter ? kTfLiteOk : kTfLiteError;
}
static inline TfLiteTensor *TfLiteInterpreterGetInputTensor(const TfLiteInterpreter *interpreter, int32_t number) {
  (void)interpreter;
  return number ? NULL : &stand_in.input;
}
static inline const TfLiteTensor *TfLiteInterpreterGetOutputTensor(const TfLiteInterpreter *interpreter, int32_t number) {
  (void)interpreter;
  (void)number;
  return &stand_in.output;
}
static inline TfLiteStatus TfLiteTensorCopyFromBuffer(TfLiteTensor *tensor, const void *data, size_t size) {
  if (size > sizeof tensor->data) return kTfLiteError;
  memcpy(tensor->data, data, size);
  return kTfLiteOk;
}
static inline TfLiteStatus TfLiteInterpreterInvoke(TfLiteInterpreter *interpreter) {
  memcpy(interpreter->output.data, interpreter->input.data, sizeof interpreter->input.data);
  return kTfLiteOk;
}
static inline void *TfLiteTensorData(const TfLiteTensor *tensor) { return (void *)tensor->data; }
