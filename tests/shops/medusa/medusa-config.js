const { defineConfig } = require("@medusajs/framework/utils");

const storefront = "http://shop.example.com";

module.exports = defineConfig({
    projectConfig: {
        databaseUrl: process.env.DATABASE_URL,
        http: {
            storeCors: storefront,
            adminCors: storefront,
            authCors: storefront,
            jwtSecret: process.env.JWT_SECRET,
            cookieSecret: process.env.JWT_SECRET,
        },
    },
    admin: { disable: true },
});
