// Vendure with a database in memory, until its standard input ends: node serve.js PORT

const { LanguageCode, mergeConfig } = require("@vendure/core");
const { SqljsInitializer, createTestEnvironment, registerInitializer, testConfig } = require("@vendure/testing");

process.stdin.on("end", () => process.exit()).resume();

registerInitializer("sqljs", new SqljsInitializer(`${__dirname}/data`));
const { server } = createTestEnvironment(
    mergeConfig(testConfig, {
        apiOptions: { port: Number(process.argv[2]) },
        authOptions: { tokenMethod: ["bearer", "cookie"], requireVerification: false },
    }),
);
server
    .init({
        initialData: {
            defaultLanguage: LanguageCode.en,
            defaultZone: "Europe",
            taxRates: [{ name: "Standard", percentage: 20 }],
            shippingMethods: [],
            paymentMethods: [],
            countries: [{ name: "Austria", code: "AT", zone: "Europe" }],
            collections: [],
        },
        customerCount: 0,
    })
    .then(() => console.log("ready"));
