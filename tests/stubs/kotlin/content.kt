// android.content, as far as docs/android.md uses it.
package android.content

import java.io.File
import java.io.InputStream

abstract class AssetManager {
    abstract fun open(name: String): InputStream
}

abstract class Context {
    abstract val filesDir: File
    abstract val assets: AssetManager
}
