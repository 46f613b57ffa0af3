// com.google.mediapipe.framework.image, as far as docs/android.md uses it.
package com.google.mediapipe.framework.image

import android.graphics.Bitmap

class MPImage

class BitmapImageBuilder(bitmap: Bitmap) {
    fun build() = MPImage()
}
