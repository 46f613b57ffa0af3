// com.google.ai.edge.litert, as far as Run.kt of a bundle uses it: a stand-in whose outputs begin with its input.
package com.google.ai.edge.litert

enum class Accelerator { NONE, CPU, GPU, NPU }

class TensorBuffer {
    private var bytes = ByteArray(0)

    fun writeInt8(data: ByteArray) {
        bytes = data
    }

    fun writeFloat(data: FloatArray) {
        bytes = ByteArray(data.size) { data[it].toInt().toByte() }
    }

    fun readInt8(): ByteArray = bytes.copyOf(STAND_IN_BYTES)

    fun readFloat(): FloatArray = FloatArray(STAND_IN_BYTES) { (bytes[it].toInt() and 0xFF).toFloat() }

    fun become(other: TensorBuffer) {
        bytes = other.bytes
    }

    companion object {
        var STAND_IN_BYTES = 0
    }
}

class CompiledModel private constructor() {
    class Options(vararg accelerators: Accelerator)

    fun createInputBuffers(): List<TensorBuffer> = listOf(TensorBuffer())
    fun createOutputBuffers(): List<TensorBuffer> = listOf(TensorBuffer())
    fun run(inputs: List<TensorBuffer>, outputs: List<TensorBuffer>) = outputs.forEach { it.become(inputs[0]) }
    fun close() {}

    companion object {
        fun create(path: String, options: Options): CompiledModel = CompiledModel()
    }
}
