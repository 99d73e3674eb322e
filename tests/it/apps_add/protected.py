"""A server by the protocol's own library that answers nobody without a token, and gives tokens itself.

Says its port first, then whom it registered and for what it gave a token. A token is good for a minute, so that whoever
renews in time renews for each request. The person at the browser always says yes.
"""
import secrets
import socket
import time

import uvicorn
from mcp.server.auth import provider
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthToken
from mcp.types import ToolAnnotations

LIFE = 60


def say(*words):
    print(*words, flush=True)


class Leave:
    def __init__(self):
        self.clients, self.codes, self.tokens, self.refreshes = {}, {}, {}, {}

    async def get_client(self, client_id):
        return self.clients.get(client_id)

    async def register_client(self, client):
        self.clients[client.client_id] = client
        say("registered", client.client_name, client.token_endpoint_auth_method)

    async def authorize(self, client, asked):
        code = secrets.token_urlsafe(20)
        self.codes[code] = provider.AuthorizationCode(
            code=code, scopes=asked.scopes or [], expires_at=time.time() + LIFE, client_id=client.client_id,
            code_challenge=asked.code_challenge, redirect_uri=asked.redirect_uri, resource=asked.resource,
            redirect_uri_provided_explicitly=asked.redirect_uri_provided_explicitly)
        return provider.construct_redirect_uri(str(asked.redirect_uri), code=code, state=asked.state)

    async def load_authorization_code(self, client, code):
        return self.codes.get(code)

    async def exchange_authorization_code(self, client, code):
        del self.codes[code.code]
        return self.give("code", client, code.scopes, code.resource)

    async def load_refresh_token(self, client, token):
        return self.refreshes.get(token)

    async def exchange_refresh_token(self, client, token, scopes):
        del self.refreshes[token.token]
        return self.give("refresh", client, token.scopes, token.resource)

    def give(self, what, client, scopes, resource):
        access, refresh = secrets.token_urlsafe(20), secrets.token_urlsafe(20)
        about = {"client_id": client.client_id, "scopes": scopes, "resource": resource}
        self.tokens[access] = provider.AccessToken(token=access, expires_at=int(time.time()) + LIFE, **about)
        self.refreshes[refresh] = provider.RefreshToken(token=refresh, **about)
        say("gave by", what, "for", resource, *scopes)
        return OAuthToken(access_token=access, expires_in=LIFE, refresh_token=refresh, scope=" ".join(scopes))

    async def load_access_token(self, token):
        return self.tokens.get(token)


listener = socket.create_server(("127.0.0.1", 0))
here = "http://127.0.0.1:%d" % listener.getsockname()[1]
server = MCPServer("clock", auth_server_provider=Leave(), auth=AuthSettings(
    issuer_url=here, resource_server_url=here + "/mcp", required_scopes=["time"], validate_token_resource=True,
    client_registration_options=ClientRegistrationOptions(enabled=True, valid_scopes=["time"])))


@server.tool(annotations=ToolAnnotations(readOnlyHint=True))
def now(zone: str) -> str:
    """The time."""
    return "It is noon in " + zone


say("at", listener.getsockname()[1])
uvicorn.Server(uvicorn.Config(server.streamable_http_app(), log_level="warning")).run(sockets=[listener])
