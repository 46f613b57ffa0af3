// MediaPipe's classifier, as far as docs/android.md uses it.
package com.google.mediapipe.tasks.vision.imageclassifier

import android.content.Context
import com.google.mediapipe.framework.image.MPImage
import com.google.mediapipe.tasks.components.containers.ClassificationResult

abstract class ImageClassifierResult {
    abstract fun classificationResult(): ClassificationResult
}

abstract class ImageClassifier {
    abstract fun classify(image: MPImage): ImageClassifierResult

    companion object {
        @JvmStatic fun createFromFile(context: Context, path: String): ImageClassifier = throw UnsupportedOperationException()
    }
}
