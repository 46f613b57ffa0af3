// org.tensorflow.lite of LiteRT, as far as docs/android.md and Run.kt of a bundle use it.
package org.tensorflow.lite

import java.io.File

enum class DataType { FLOAT32, UINT8, INT8 }

interface Tensor {
    class QuantizationParams(val scale: Float, val zeroPoint: Int)

    fun dataType(): DataType
    fun numBytes(): Int
    fun numElements(): Int
    fun quantizationParams(): QuantizationParams
}

abstract class InterpreterApi {
    open class Options {
        open fun setNumThreads(numThreads: Int): Options = this
    }
}

class Interpreter(file: File, options: Options) {
    class Options : InterpreterApi.Options() {
        override fun setNumThreads(numThreads: Int): Options = this
    }

    fun getInputTensor(index: Int): Tensor = throw UnsupportedOperationException()
    fun getOutputTensor(index: Int): Tensor = throw UnsupportedOperationException()
    fun run(input: Any, output: Any) {}
    fun runForMultipleInputsOutputs(inputs: Array<Any>, outputs: Map<Int, Any>) {}
}
