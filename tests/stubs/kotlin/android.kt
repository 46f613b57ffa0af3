// android.graphics, as far as docs/android.md uses it.
package android.graphics

open class Bitmap(val width: Int, val height: Int) {
    enum class Config { ARGB_8888 }

    fun getPixels(pixels: IntArray, offset: Int, stride: Int, x: Int, y: Int, width: Int, height: Int) {}

    companion object {
        @JvmStatic fun createBitmap(width: Int, height: Int, config: Config) = Bitmap(width, height)
        @JvmStatic fun createBitmap(source: Bitmap, x: Int, y: Int, width: Int, height: Int) = Bitmap(width, height)
        @JvmStatic fun createScaledBitmap(source: Bitmap, width: Int, height: Int, filter: Boolean) = Bitmap(width, height)
    }
}

class Rect(val left: Int, val top: Int, val right: Int, val bottom: Int)

class RectF(val left: Float, val top: Float, val right: Float, val bottom: Float)

class Paint(flags: Int = 0) {
    var color: Int = 0

    companion object {
        const val FILTER_BITMAP_FLAG = 2
    }
}

class Canvas(bitmap: Bitmap) {
    fun drawColor(color: Int) {}
    fun drawRect(rect: Rect, paint: Paint) {}
    fun drawBitmap(bitmap: Bitmap, src: Rect?, dst: Rect, paint: Paint?) {}
}

object Color {
    const val BLACK = -0x1000000
    const val WHITE = -1
}
