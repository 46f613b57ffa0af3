// MediaPipe's detector, as far as docs/android.md uses it.
package com.google.mediapipe.tasks.vision.objectdetector

import android.content.Context
import com.google.mediapipe.framework.image.MPImage
import com.google.mediapipe.tasks.components.containers.Detection

abstract class ObjectDetectorResult {
    abstract fun detections(): List<Detection>
}

abstract class ObjectDetector {
    abstract fun detect(image: MPImage): ObjectDetectorResult

    companion object {
        @JvmStatic fun createFromFile(context: Context, path: String): ObjectDetector = throw UnsupportedOperationException()
    }
}
