// org.json, as far as docs/android.md uses it: flat fields.
package org.json

class JSONObject(private val text: String) {
    fun getString(name: String): String = Regex("\"$name\": \"([^\"]*)\"").find(text)!!.groupValues[1]
    fun getInt(name: String): Int = Regex("\"$name\": (\\d+)").find(text)!!.groupValues[1].toInt()
}
