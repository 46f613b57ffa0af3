// com.google.mediapipe.tasks.components.containers, as far as docs/android.md uses it.
package com.google.mediapipe.tasks.components.containers

import android.graphics.RectF

abstract class Category {
    abstract fun score(): Float
    abstract fun categoryName(): String
}

abstract class Classifications {
    abstract fun categories(): List<Category>
}

abstract class ClassificationResult {
    abstract fun classifications(): List<Classifications>
}

abstract class Detection {
    abstract fun categories(): List<Category>
    abstract fun boundingBox(): RectF
}
