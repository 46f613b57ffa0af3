"""The requests on the page for TensorFlow Serving, against the SavedModel and a server that decodes as Serving does."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from pages import blocks
from PIL import Image

from keras_resnet.export.predict import load_predictor
from keras_resnet.runtime.image import read_image


@pytest.fixture(scope="module")
def exports(exported):
    """The folder with the SavedModel."""
    return exported[0].exports


@pytest.fixture(scope="module")
def signatures(exports):
    import tensorflow as tf

    return tf.saved_model.load(str(exports / "saved_model")).signatures


def served(signatures, request):
    """What Serving's REST interface answers, as its documentation says: rows of one input without its name, {"b64": …}
    as bytes; rows of the outputs, without a name where there is one output."""
    import tensorflow as tf

    signature = signatures[request.get("signature_name", "serving_default")]
    ((name, spec),) = signature.structured_input_signature[1].items()
    rows = [base64.b64decode(row["b64"]) if isinstance(row, dict) else row for row in request["instances"]]
    answers = {key: value.numpy().tolist() for key, value in signature(**{name: tf.constant(rows, spec.dtype)}).items()}
    if len(answers) == 1:
        return {"predictions": next(iter(answers.values()))}
    return {"predictions": [dict(zip(answers, row, strict=True)) for row in zip(*answers.values(), strict=True)]}


@pytest.fixture
def serving(signatures):
    """The address of a server that answers as `served`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            assert self.path == "/v1/models/kresnet:predict"
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(served(signatures, request)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *values):
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_the_request_on_the_page_is_answered(exports, signatures):
    (request,) = (json.loads(block) for block in blocks("tf-serving", "json"))
    ((row,),) = served(signatures, request).values()
    assert set(row) == {"logits", "probabilities"} and sum(row["probabilities"]) == pytest.approx(1)
    content = base64.b64decode(request["instances"][0]["b64"])
    one = load_predictor(str(exports / "saved_model"), exports)
    # Of the network's own size, so that nobody's filter counts.
    assert read_image(content).size == (8, 8) and one.card.image_size == one.card.resize == 8
    expected = {each["label"]: each["probability"] for each in one.predict_image(read_image(content), 10)}
    labels = (exports / "saved_model" / "assets.extra" / "labels.txt").read_text().splitlines()
    assert dict(zip(labels, row["probabilities"], strict=True)) == pytest.approx(expected, abs=1e-5)


def test_the_client_for_serving_predicts(exports, serving, tmp_path):
    scope = {}
    exec(blocks("tf-serving", "python")[0], scope)
    server = scope["Server"](serving, str(exports / "saved_model" / "assets.extra" / "labels.txt"))
    golden = np.load(exports / "golden.npz")
    ours, theirs = server.logits(golden["images"]), golden["float32.tflite"]
    assert (ours.argmax(1) == theirs.argmax(1)).all() and np.abs(ours - theirs).max() < 1e-3
    names = [str(tmp_path / f"{number}.png") for number in range(3)]
    for name, pixels in zip(names, golden["images"], strict=False):
        Image.fromarray(pixels).save(name)
    one = load_predictor(str(exports / "saved_model"), exports)
    for name, answer in zip(names, server.classify(*names, top=3), strict=True):
        expected = one.predict_image(read_image(name), 3)
        assert [label for label, _ in answer] == [each["label"] for each in expected]
        assert [share for _, share in answer] == pytest.approx([each["probability"] for each in expected], abs=1e-4)


def test_the_grpc_client_for_serving_predicts(exports, signatures):
    """Against a server of Serving's own interface; tensorflow-serving-api is no dependency of the tests."""
    pytest.importorskip("tensorflow_serving.apis", reason="tensorflow-serving-api is not installed")
    from concurrent.futures import ThreadPoolExecutor

    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
            answer = predict_pb2.PredictResponse()
            for name, value in signatures[request.model_spec.signature_name](**inputs).items():
                answer.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
            return answer

    server = grpc.server(ThreadPoolExecutor(1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    scope = {}
    exec(blocks("tf-serving", "python")[2], scope)
    golden, address = np.load(exports / "golden.npz"), f"127.0.0.1:{port}"
    answer = scope["ask"](address, "serving_default", pixels=golden["images"].astype(np.float32))
    np.testing.assert_allclose(answer["logits"], golden["float32.tflite"], atol=1e-3)
    request = json.loads(blocks("tf-serving", "json")[0])
    encoded = base64.b64decode(request["instances"][0]["b64"])
    answer = scope["ask"](address, "serve_bytes", images=[encoded])
    assert answer["probabilities"].shape == answer["logits"].shape == (1, 10)
    server.stop(None)
