"""What a FastAPI upload gives: the body is streamed into a file. fastapi_upload.py PORT FOLDER"""

import pathlib
import sys

import fastapi
import uvicorn

port, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
app = fastapi.FastAPI()


@app.put("/api/v1/packages/{package_id}", status_code=201)
async def put(package_id: str, request: fastapi.Request) -> dict:
    with open(folder / package_id, "wb") as file:
        async for block in request.stream():
            file.write(block)
    return {"stored": package_id}


uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)
