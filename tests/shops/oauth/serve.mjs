// A server of OAuth that is certified for OpenID Connect, until its standard input ends: node serve.mjs PORT
//
// `GET /login?who=NAME` stands for the pages of a login, and hands out a refresh token.

import { generateKeyPairSync } from "node:crypto";
import { Provider } from "oidc-provider";

process.stdin.on("end", () => process.exit()).resume();

const SHOP = "urn:shop";
const SCOPE = "openid offline_access buy";
const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });

const provider = new Provider("http://shop.example.com", {
    jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), use: "sig", alg: "RS256", kid: "first" }] },
    clients: [
        {
            client_id: "app",
            token_endpoint_auth_method: "none",
            redirect_uris: ["http://shop.example.com/back"],
            grant_types: ["authorization_code", "refresh_token"],
        },
    ],
    routes: { revocation: "/oauth/revoke", token: "/oauth/token", jwks: "/jwks.json" },
    features: {
        devInteractions: { enabled: false },
        revocation: { enabled: true, allowedPolicy: () => true },
        resourceIndicators: {
            enabled: true,
            defaultResource: () => SHOP,
            useGrantedResource: () => true,
            getResourceServerInfo: () => ({ scope: SCOPE, audience: "shop", accessTokenFormat: "jwt" }),
        },
    },
    findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
    scopes: SCOPE.split(" "),
    rotateRefreshToken: false,
});

provider.use(async (context, next) => {
    if (context.path !== "/login") return next();
    const accountId = context.query.who;
    const client = await provider.Client.find("app");
    const grant = new provider.Grant({ accountId, clientId: client.clientId });
    grant.addOIDCScope("openid offline_access");
    grant.addResourceScope(SHOP, "buy");
    const grantId = await grant.save();
    const refresh = new provider.RefreshToken({
        accountId,
        client,
        grantId,
        scope: SCOPE,
        resource: SHOP,
        gty: "authorization_code",
        rotations: 0,
        iiat: Math.floor(Date.now() / 1000),
    });
    context.body = { refresh_token: await refresh.save() };
});

provider.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("ready"));
